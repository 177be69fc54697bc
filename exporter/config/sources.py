"""The texts that the environment and the configuration file contain for each setting.

A source becomes a mapping from the setting's name to its texts and to the place for error messages. Nothing is parsed
into values here, and another module decides which source wins.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import yaml

from exporter.config.model import ConfigError
from exporter.config.parsers import listed
from exporter.config.settings import BY_NAME, SETTINGS, Setting
from exporter.config.yaml_file import compose_mapping
from exporter.wording.quoting import did_you_mean, printable, quoted

_PREFIX = "WATCHSLO_"
# Kubernetes injects these beside a Service of the name watchslo.
_INJECTED_PREFIXES = ("WATCHSLO_PORT", "WATCHSLO_SERVICE_")

_BY_VARIABLE = {setting.variable: setting for setting in SETTINGS}
_BY_KEY = {setting.name: setting for setting in SETTINGS if setting.in_file}
_NULL = "tag:yaml.org,2002:null"


class Given(msgspec.Struct, frozen=True):
    """What one source says about one setting."""

    texts: tuple[str, ...]
    where: str
    """The place to blame in a refusal: `--slo.window`, `WATCHSLO_SLO_WINDOW`, `watchslo.yaml:3: slo.window`."""


def read_environment(environ: Mapping[str, str]) -> tuple[dict[str, Given], tuple[str, ...]]:
    """Return what the WATCHSLO_* variables say, and one warning for each that is none of ours.

    An empty variable says nothing, so that a manifest may leave one blank.
    """
    given, warnings = {}, []
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable.startswith(_INJECTED_PREFIXES):
            continue
        if (setting := _BY_VARIABLE.get(variable)) is None:
            hint = did_you_mean(variable, _BY_VARIABLE, _PREFIX)
            warnings.append(f"environment variable {quoted(variable)} is not a setting and is ignored{hint}")
        elif texts := listed(text) if setting.repeatable else (text,) if text else ():
            given[setting.name] = Given(texts, variable)
    return given, tuple(warnings)


def read_file(path: Path) -> dict[str, Given]:
    """Return what a configuration file says; raises ConfigError for a key that is unknown, twice there or misused.

    A level of nesting is a dot in the key, and dotted keys may be written out: `slo: {window: 60}` is
    `slo.window: 60`. A key with an empty value says nothing.
    """
    given: dict[str, Given] = {}
    root = compose_mapping(path)
    for key, line, node in _entries(root, "") if root else ():
        place = f"{printable(str(path))}:{line}"
        if (setting := _BY_KEY.get(key)) is None:
            raise ConfigError(f"{place}: {_why_unknown(key)}")
        where = f"{place}: {key}"
        if key in given:
            raise ConfigError(f"{where}: is set twice in this file")
        given[key] = Given(_texts(node, setting, where), where)
    return {key: said for key, said in given.items() if said.texts != ("",)}


def _entries(mapping: yaml.MappingNode, above: str) -> Iterator[tuple[str, int, yaml.Node]]:
    """Yield dotted key, line and value of everything in a mapping and in the sections below it."""
    for key_node, node in mapping.value:
        key = f"{above}{key_node.value}" if isinstance(key_node, yaml.ScalarNode) else "?"
        if isinstance(node, yaml.MappingNode) and _keys_below(key):
            yield from _entries(node, f"{key}.")
        elif node.tag != _NULL or not _keys_below(key):
            yield key, key_node.start_mark.line + 1, node


def _keys_below(section: str) -> list[str]:
    return [key for key in _BY_KEY if key.startswith(f"{section}.")]


def _why_unknown(key: str) -> str:
    if below := _keys_below(key):
        return f"{quoted(key)} is a section, not a setting: it holds {', '.join(below)}"
    if key in BY_NAME:
        return f"{quoted(key)} cannot be set in a file"
    return f"unknown key {quoted(key)}{did_you_mean(key, _BY_KEY)}"


def _texts(node: yaml.Node, setting: Setting, where: str) -> tuple[str, ...]:
    items = [node] if isinstance(node, yaml.ScalarNode) else node.value
    if isinstance(node, yaml.MappingNode) or not all(isinstance(item, yaml.ScalarNode) for item in items):
        raise ConfigError(f"{where}: takes {'values' if setting.repeatable else 'a value'}, not a mapping or a list")
    if isinstance(node, yaml.SequenceNode) and not setting.repeatable:
        raise ConfigError(f"{where}: takes one value, not a list")
    texts = ("" if item.tag == _NULL else item.value for item in items)
    return tuple(part for text in texts for part in setting.texts_of(text))
