"""The table of settings as a page of Markdown, for docs/configuration.md."""

from itertools import groupby

from exporter.config.settings import SETTINGS, Setting

_PREFACE = """\
# Configuration

This page is generated from the table in `exporter/config/settings.py`.

Flags win over `WATCHSLO_*` environment variables, those over the file of `--config.file`, and that over the
defaults, setting by setting: a list replaces a list, it does not add to it.

- A duration is a number of seconds, or is written as Prometheus does: `1.5`, `500ms`, `1m30s`. A ratio is a number
  or a percentage: `0.99`, `99%`.
- What may be repeated may also be one list with commas, everywhere: `--resource pods,nodes`.
- In the environment, an empty variable says nothing. An unknown `WATCHSLO_*` variable is a warning;
  `WATCHSLO_PORT*` and `WATCHSLO_SERVICE_*` are ignored, because Kubernetes injects them beside a Service of that name.
- In the file, a dot in a name is a level of nesting, and a dotted key may always be written out: `slo: {window: 60}`
  and `slo.window: 60` say the same. What may be repeated is a list, or a single value. An empty value says nothing,
  an empty list says "none". An unknown key, or one that is given twice, is refused.
- Relative paths start at the working directory.

```yaml
# watchslo.yaml
resource: [pods, nodes, deployments.apps]
annotation: example.com/written-at
annotation.clock-error: 0.05
slo:
  threshold: 1.0
  objective: 0.99
web.listen-address: :9985
```
"""
_HEAD = "| flag | environment | default | |\n|---|---|---|---|"


def reference_markdown() -> str:
    """Return the page: how settings are said, then one table per section."""
    sections = (
        "\n".join([f"## {section}", "", _HEAD, *map(_row, settings)])
        for section, settings in groupby(SETTINGS, key=lambda setting: setting.section)
    )
    return "\n\n".join([_PREFACE.rstrip(), *sections]) + "\n"


def _row(setting: Setting) -> str:
    flag = f"`{setting.flag}`" if setting.is_switch else f"`{setting.flag} {setting.metavar}`"
    default = ", ".join(f"`{text}`" for text in setting.default)
    notes = ["repeatable"] if setting.repeatable else []
    if setting.section == "This command":
        notes.append(f"of {', '.join(f'`watchslo {command}`' for command in sorted(setting.commands))}")
    if setting.default_of_demo:
        notes.append(f"`watchslo demo`: `{' '.join(setting.default_of_demo)}`")
    text = f"{setting.help} ({'; '.join(notes)})" if notes else setting.help
    return f"| {flag} | `{setting.variable}` | {default} | {text} |"
