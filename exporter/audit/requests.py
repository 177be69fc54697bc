"""What a LIST or a watch asks for, by the query of its URI: from where, how much of it, and what it is selected by."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import unquote

ListKind: TypeAlias = Literal["newest", "newest_pages", "cache", "not_older", "exact", "page", "unknown"]
LIST_KINDS: tuple[ListKind, ...] = get_args(ListKind)

WatchKind: TypeAlias = Literal["resumed", "from_zero", "from_newest", "streaming_list", "streaming_relist", "unknown"]
WATCH_KINDS: tuple[WatchKind, ...] = get_args(WatchKind)

LIST_MEANINGS: dict[ListKind, str] = {
    "newest": "no resourceVersion, no limit: all objects as of now. From the watch cache since 1.31, before from etcd",
    "newest_pages": "no resourceVersion, with limit: the first page as of now",
    "cache": "resourceVersion=0: all objects from the watch cache, whatever the limit",
    "not_older": "resourceVersion=N: all objects from the watch cache. So client-go's informers list again",
    "exact": "resourceVersionMatch=Exact: from the cache's snapshots since 1.34, otherwise from etcd",
    "page": "continue=...: a further page of a LIST that is counted by its first",
    "unknown": "this log does not have the query",
}
WATCH_MEANINGS: dict[WatchKind, str] = {
    "resumed": "resourceVersion=N: only what is new",
    "from_zero": "resourceVersion=0: first all objects once more, from the watch cache",
    "from_newest": "no resourceVersion: first all objects as of now",
    "streaming_list": "sendInitialEvents: a LIST and a watch in one, of a client that has nothing yet",
    "streaming_relist": "sendInitialEvents with resourceVersion=N: so client-go's informers list again, since 1.35",
    "unknown": "this log does not have the query",
}

LONGEST_FIELDS = 100
_MOST_SECONDS_DIGITS = 9


class Asked(NamedTuple):
    """The query of a LIST or a watch, as far as it says what the request costs."""

    kind: ListKind | WatchKind
    selectors: str
    """Both selectors as they stand there: who asks for something else is another informer."""
    by: str
    """What it is selected by, without the values: `spec.nodeName`, `a label`, or nothing."""
    timeout_seconds: int | None = None
    has_bookmarks: bool = False
    has_limit: bool = False


_UNKNOWN = Asked("unknown", "", "")


def asked_of_list(query: str | None) -> Asked:
    """What a LIST asks for."""
    if query is None:
        return _UNKNOWN
    said = _fields(query)
    kind: ListKind
    revision, has_limit = said.get("resourceVersion", ""), said.get("limit", "0") != "0"
    if said.get("continue"):
        kind = "page"
    elif revision == "0":
        kind = "cache"
    elif revision:
        kind = "exact" if said.get("resourceVersionMatch") == "Exact" else "not_older"
    else:
        kind = "newest_pages" if has_limit else "newest"
    return Asked(kind, _selectors(said), _selected_by(said), has_limit=has_limit)


def asked_of_watch(query: str | None) -> Asked:
    """What a watch asks for."""
    if query is None:
        return _UNKNOWN
    said = _fields(query)
    kind: WatchKind
    revision = said.get("resourceVersion", "")
    if said.get("sendInitialEvents") == "true":
        kind = "streaming_relist" if revision not in ("", "0") else "streaming_list"
    elif revision == "0":
        kind = "from_zero"
    else:
        kind = "resumed" if revision else "from_newest"
    seconds = said.get("timeoutSeconds", "")
    is_number = seconds.isascii() and seconds.isdecimal() and len(seconds) <= _MOST_SECONDS_DIGITS
    return Asked(
        kind,
        _selectors(said),
        _selected_by(said),
        timeout_seconds=(int(seconds) or None) if is_number else None,
        has_bookmarks=said.get("allowWatchBookmarks") == "true",
    )


def _fields(query: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        fields.setdefault(name, value)  # as Go's Query.Get does
    return fields


def _selectors(said: dict[str, str]) -> str:
    return f"{said.get('fieldSelector', '')}&{said.get('labelSelector', '')}"


def _selected_by(said: dict[str, str]) -> str:
    fields = said.get("fieldSelector")
    names = [part.partition("=")[0].rstrip("!") for part in unquote(fields).split(",")] if fields else []
    if said.get("labelSelector"):
        names.append("a label")
    return " and ".join(names)[:LONGEST_FIELDS]
