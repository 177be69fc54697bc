"""What the LISTs of one resource on one apiserver cost, as values and as the JSON document. No clock, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import msgspec

from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.server_metrics.lists import ServedLists

VERSION = 1
"""Of the JSON document."""

Form: TypeAlias = Literal["newest", "cached", "pages", "label", "namespace", "metadata", "streaming"]
FORMS: tuple[Form, ...] = get_args(Form)

TITLES: dict[Form, str] = {
    "newest": "resourceVersion unset",
    "cached": "resourceVersion=0",
    "pages": "limit=500",
    "label": "label selector",
    "namespace": "one namespace",
    "metadata": "metadata only",
    "streaming": "streaming list",
}
"""As people read them."""

Place: TypeAlias = Literal["store", "cache", "store and cache", "others listed too"]


class ServedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """By the apiserver's own metrics, over the time of the LIST."""

    place: Place
    objects_read: int
    """In all places. With `others listed too` also theirs."""


class ListCost(msgspec.Struct, frozen=True, kw_only=True):
    """One form of LIST."""

    form: Form
    request: str
    """The path and the parameters, of pages those of the first one; "" if there is nothing to ask for."""
    first_byte_seconds: float | None
    """From sending to the first byte of the body; None if there was none."""
    seconds: float | None
    """From sending to the last byte, of the last page; None if there was no answer."""
    counting_seconds: float
    """CPU of ours for counting the objects: at most so much of the time would be spared to another client."""
    size_bytes: int
    """Of the bodies, uncompressed."""
    objects: int
    pages: int
    """Answers that came whole; of a streaming list it is one."""
    served: ServedFrom | None
    """None if the apiserver's metrics do not say."""
    why_not_served: str | None
    """Why they do not say it of this LIST, where they say it of others."""
    trouble: str | None
    """Why it is not whole, or was not sent: a sentence. The figures are those so far."""


class ObjectSample(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 500 objects, read before anybody is asked: what the rest will cost is an estimate by these."""

    sampled: int
    objects: int | None
    """How many there are; None if the apiserver does not say how many remain."""
    object_bytes: float | None
    """The mean of a whole one in a list. None if there is none."""
    metadata_bytes: float | None
    label: str | None
    """`key=value`: of those that not all have, the one that most have."""
    label_share: float
    namespace: str | None
    """The one with most objects; None if there are none, or only one is listed anyway."""
    namespace_share: float


class WatchCost(msgspec.Struct, frozen=True, kw_only=True):
    """A watch of metadata, for a while."""

    seconds: float
    events: int
    size_bytes: int
    full_bytes_estimate: float | None
    """What it would have been with whole objects, by the ratio of the sample."""
    trouble: str | None


class Remedy(msgspec.Struct, frozen=True, kw_only=True):
    """What would cost less here, and the figures that say so."""

    name: str
    figures: str
    remedy: str
    since: str


class CollectionCost(msgspec.Struct, frozen=True, kw_only=True):
    """One resource on one apiserver."""

    apiserver: str
    group: str
    resource: str
    namespace: str | None
    trouble: str | None
    """Why nothing is known of it."""
    why_no_server_metrics: str | None
    """Why the apiserver's metrics say of no LIST from where it was served."""
    sample: ObjectSample | None
    lists: Sequence[ListCost]
    watch: WatchCost | None
    advice: Sequence[Remedy]

    @property
    def name(self) -> str:
        """As flags have it, and where."""
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{kind_name(self.group, self.resource)}{where} on {self.apiserver}"

    @property
    def is_said(self) -> bool:
        """Whether anything is."""
        return any(cost.pages for cost in self.lists)


def served_from(served: ServedLists, sent_lists: int | None, objects: int) -> ServedFrom:
    """From where, if nobody but us has listed: `sent_lists` is our share, None for a streaming list of `objects`.

    Before it answers from its cache, an apiserver asks the store for its revision, by a LIST without objects.
    """
    store, cache, events = served
    if sent_lists is None:
        is_ours = events == objects and not store.objects and store.lists <= 1 and not cache.lists
        return ServedFrom(place="cache" if is_ours else "others listed too", objects_read=events)
    read = store.objects + cache.objects
    if cache.lists > sent_lists or store.lists > sent_lists or store.lists + cache.lists < sent_lists:
        return ServedFrom(place="others listed too", objects_read=read)
    if cache.lists == sent_lists:
        return ServedFrom(place="others listed too" if store.objects else "cache", objects_read=read)
    return ServedFrom(place="store and cache" if cache.lists else "store", objects_read=read)


def document(collections: Sequence[CollectionCost]) -> dict[str, Any]:
    """The JSON document: a promise, described in docs/lists.md."""
    return {"version": VERSION, "collections": [msgspec.to_builtins(collection) for collection in collections]}
