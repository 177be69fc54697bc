"""What a request asks for: its path taken apart, its options parsed, its selectors made functions.

In: path and query. Out: frozen values. Knows nothing of what is served or stored.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exporter.simulator.status import bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.simulator.objects import Key
    from exporter.simulator.resources import JsonObject

TRUE = frozenset({"true", "1", "True", "TRUE", "t", "T"})

SELECTABLE_FIELDS = frozenset({"metadata.name", "metadata.namespace"})
SELECTABLE_FIELDS_OF = {"events": frozenset({"involvedObject.kind", "reason"})}
"""More of them, by the plural of the kind."""


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """`/apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/SUBRESOURCE` and its shorter forms."""

    group: str
    version: str
    plural: str
    namespace: str = ""  # "": all of them, or a cluster-scoped kind
    name: str | None = None
    subresource: str | None = None

    @property
    def key(self) -> Key:
        """Namespace and name; only for paths that have a name."""
        return self.namespace, self.name or ""


def parse_path(path: str) -> ResourcePath | None:
    """The resource that `path` names, or None if it names none."""
    match path.strip("/").split("/"):
        case ["api", version, *rest] if rest:
            group = ""
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            return None
    match rest:
        case ["namespaces", namespace, plural, *names] if len(names) <= 2:
            return ResourcePath(group, version, plural, namespace, *names)
        case [plural, *names] if len(names) <= 2:
            return ResourcePath(group, version, plural, "", *names)
    return None


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What a LIST or WATCH asks for. `revision` is None when none was given."""

    namespace: str
    name: str | None
    watch: bool
    revision: int | None
    limit: int
    start_key: Key | None
    timeout_seconds: int
    bookmarks: bool
    fields: tuple[tuple[str, str], ...]
    labels: tuple[tuple[str, str], ...]

    def selects(self, obj: JsonObject) -> bool:
        """Whether the path, the field selector and the label selector fit."""
        metadata = obj["metadata"]
        if self.namespace not in {"", metadata.get("namespace", "")} or self.name not in {None, metadata["name"]}:
            return False
        labels = metadata.get("labels") or {}
        return all(_at(field, obj) == value for field, value in self.fields) and all(
            labels.get(label) == value for label, value in self.labels
        )


def parse_options(path: ResourcePath, query: Mapping[str, str]) -> ListOptions:
    """Raises ApiError 400 for what makes no sense or what this server cannot select by."""
    fields = _equalities(query, "fieldSelector")
    for field, _ in fields:
        if field not in SELECTABLE_FIELDS | SELECTABLE_FIELDS_OF.get(path.plural, frozenset()):
            raise bad_request(f"field label not supported: {field}")
    revision = query.get("resourceVersion", "")
    return ListOptions(
        namespace=path.namespace,
        name=path.name,
        watch=query.get("watch", "") in TRUE,
        revision=_number(query, "resourceVersion") if revision else None,
        limit=_number(query, "limit"),
        start_key=_start_key(query.get("continue", "")),
        timeout_seconds=_number(query, "timeoutSeconds"),
        bookmarks=query.get("allowWatchBookmarks", "") in TRUE,
        fields=fields,
        labels=_equalities(query, "labelSelector"),
    )


def continue_token(key: Key) -> str:
    """The token that makes the next LIST begin at `key`."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _at(field: str, obj: JsonObject) -> object:
    """The value at such a path as `metadata.name`; "" if there is none."""
    value: Any = obj
    for key in field.split("."):
        value = value.get(key, "") if isinstance(value, dict) else ""
    return value


def _start_key(token: str) -> Key | None:
    if not token:
        return None
    try:
        namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError) as error:
        raise bad_request("continue key is not valid") from error
    return namespace, name


def _number(query: Mapping[str, str], option: str) -> int:
    text = query.get(option, "") or "0"
    if not text.isascii() or not text.isdigit():
        raise bad_request(f'{option}: Invalid value: "{text}"')
    return int(text)


def _equalities(query: Mapping[str, str], option: str) -> tuple[tuple[str, str], ...]:
    parsed: list[tuple[str, str]] = []
    for requirement in filter(None, query.get(option, "").split(",")):
        left, equals, right = requirement.partition("=")
        if not equals or left.endswith("!"):
            raise bad_request(f"{option}: only equality is supported here: {requirement}")
        parsed.append((left.strip(), right.removeprefix("=").strip()))
    return tuple(parsed)
