"""What a file of Prometheus rules consists of, and how it is written so that people like to read it."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

from deploy.generator.objective import DEFAULTS, Settings, Severity

LINE_LENGTH = 120
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
UNIT_WORDS = {"m": "minute", "h": "hour", "d": "day"}
RANGE = re.compile(r"(?<=[\[:])\d+[smhd](?=[\]:])")
WHY = """\
    {{ range $number, $found := query (printf "max by (fault, certainty, apiserver, group, resource)
    (watchslo_fault{cluster=%q}) == 1" $labels.cluster ) }}{{ if $number }}; {{ end }}{{ .Labels.fault }}
    ({{ .Labels.certainty }}){{ with .Labels.resource }} of {{ . }}{{ end }}
    {{- with .Labels.apiserver }} on {{ . }}{{ end }}
    {{- else }}No fault is found at the moment.{{ end }}"""
"""What the exporters find when the alert is sent: docs/faults.md explains each fault."""

OF_WHICH_CLUSTER = "{{ with $labels.cluster }}{{ . }}: {{ end }}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """A recording rule."""

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """An alerting rule: true for `hold`, it fires. Its runbook is the page of its name."""

    alert: str
    expr: str
    hold: str
    severity: Severity
    summary: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""
    says_why: bool = False
    """Whether it names the faults that are found: for what users feel, not for what is a cause itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Rules that are evaluated one after the other."""

    name: str
    rules: tuple[Recording | Alert, ...]
    comment: str
    interval: str | None = None


def seconds_of(duration: str) -> int:
    """60 for 1m."""
    return int(duration[:-1]) * UNIT_SECONDS[duration[-1]]


def in_words(duration: str) -> str:
    """What comes after "the last": minute for 1m, 6 hours for 6h."""
    count, unit = int(duration[:-1]), UNIT_WORDS[duration[-1]]
    return unit if count == 1 else f"{count} {unit}s"


class Writer:
    """Writes groups as YAML. With a `scale` other than 1 every duration, but no name and no label, is divided by it."""

    def __init__(self, settings: Settings, scale: int = 1) -> None:
        self._settings = settings
        self._scale = scale

    def file(self, header: str, groups: tuple[Group, ...]) -> str:
        """A whole file of rules, with comments."""
        lines = [*_comment(header, ""), "groups:"]
        for group in groups:
            lines += ["", *self._group(group)]
        return with_cluster_label("\n".join(lines) + "\n", self._settings.cluster_label)

    def _group(self, group: Group) -> Iterator[str]:
        yield from _comment(group.comment, "  ")
        yield f"  - name: {group.name}"
        if group.interval:
            yield f"    interval: {self._scaled(group.interval)}"
        yield "    rules:"
        for number, rule in enumerate(group.rules):
            if number and (rule.comment or isinstance(rule, Alert)):
                yield ""
            yield from _comment(rule.comment, "      ")
            yield from self._alert(rule) if isinstance(rule, Alert) else self._recording(rule)

    def _recording(self, rule: Recording) -> Iterator[str]:
        yield f"      - record: {rule.record}"
        yield from self._expr(rule.expr)
        yield from _mapping("labels", rule.labels)

    def _alert(self, rule: Alert) -> Iterator[str]:
        yield f"      - alert: {rule.alert}"
        yield from self._expr(rule.expr)
        yield f"        for: {self._scaled(rule.hold)}"
        yield from _mapping("labels", {"severity": rule.severity, **rule.labels})
        yield "        annotations:"
        yield from _folded("summary", OF_WHICH_CLUSTER + rule.summary)
        yield from _folded("description", rule.description)
        if rule.says_why:
            yield from _folded("why", WHY)
        yield f"          runbook_url: {self._settings.runbooks}/{rule.alert}.md"

    def _expr(self, expr: str) -> Iterator[str]:
        first, *others = RANGE.sub(lambda match: self._scaled(match[0]), textwrap.dedent(expr).strip()).split("\n")
        if not others:
            yield f"        expr: {first}"
            return
        yield "        expr: |"
        for line in (first, *others):
            yield f"          {line}"

    def _scaled(self, duration: str) -> str:
        return duration if self._scale == 1 else f"{seconds_of(duration) * 1000 // self._scale}ms"


def with_cluster_label(text: str, label: str) -> str:
    """The rules with another name for the label that tells clusters apart. The chart replaces the same words."""
    default = DEFAULTS.cluster_label
    return (
        text.replace(f"({default}, job", f"({label}, job")
        .replace(f"$labels.{default} ", f"$labels.{label} ")
        .replace(f"{{{default}=%q", f"{{{label}=%q")
    )


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(_one_line(text), LINE_LENGTH, initial_indent=prefix, subsequent_indent=prefix)


def _mapping(key: str, values: Mapping[str, str]) -> Iterator[str]:
    if values:
        yield f"        {key}:"
    for name, value in values.items():
        yield f"          {name}: {_plain_or_quoted(value)}"


def _plain_or_quoted(value: str) -> str:
    return value if yaml.safe_load(value) == value else json.dumps(value)


def _folded(key: str, text: str) -> list[str]:
    indent = " " * 12
    lines = textwrap.wrap(_one_line(text), LINE_LENGTH, initial_indent=indent, subsequent_indent=indent)
    return [f"          {key}: >-", *lines]


def _one_line(text: str) -> str:
    return " ".join(text.split())
