"""Reads a YAML file into nodes: every scalar keeps its author's text and its line.

YAML's own types would turn a context named `no` into False and lose where a value came from.
"""

from pathlib import Path
from typing import Any

import yaml

from exporter.config.reading import content_of

MOST_VALUES = 10_000


def compose_mapping(path: Path) -> yaml.MappingNode | None:
    """Read a file whose content is a mapping; None if it holds nothing but comments.

    Raises ValueError with the rest of a sentence that begins with the path.
    """
    content = _content(path)
    try:
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        why = ", ".join(part for part in (error.context, error.problem) if part)
        raise ValueError(f"is not YAML: {why}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ValueError("is not usable YAML: it is nested too deeply") from None
    if node is None or isinstance(node, yaml.MappingNode):
        return node
    raise ValueError("is not a YAML mapping (lines of `key: value`)")


def load_mapping(path: Path) -> dict[str, Any]:
    """All of a file whose content is a mapping: text as it stands there, mappings, lists, booleans and None.

    Raises ValueError with the rest of a sentence that begins with the path.
    """
    node = compose_mapping(path)
    if node is None:
        raise ValueError("is empty")
    try:
        return _Builder().mapping(node)
    except RecursionError:
        raise ValueError("is not usable YAML: an alias contains itself") from None


class _Builder:
    """Builds values of nodes, not more than MOST_VALUES: aliases make few lines into very many."""

    def __init__(self) -> None:
        self._built = 0

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"has a key that is not text in line {key.start_mark.line + 1}")  # noqa: TRY004 of the file
            if key.value in found:
                # Which one is not said: it may be a secret in the wrong place.
                raise ValueError(f"has a duplicate key in line {key.start_mark.line + 1}")
            found[key.value] = self._value(value)
        return found

    def _value(self, node: yaml.Node) -> Any:
        self._built += 1
        if self._built > MOST_VALUES:
            raise ValueError(f"is not usable YAML: it has more than {MOST_VALUES} values")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(one) for one in node.value]
        if node.tag == "tag:yaml.org,2002:null":
            return None
        if node.tag == "tag:yaml.org,2002:bool":
            return node.value.lower() in {"true", "yes", "on"}
        return node.value


def _content(path: Path) -> bytes:
    try:
        return content_of(path)
    except FileNotFoundError:
        raise ValueError("does not exist") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
