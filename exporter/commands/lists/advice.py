"""What would cost less here: remedies that are known, where the figures of this cluster speak for them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.audit.advice import KNOWN
from exporter.commands.lists.plan import PAGE_OBJECTS
from exporter.commands.lists.result import TITLES, Remedy
from exporter.commands.text_table import bytes_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.commands.lists.result import Form, ListCost, ObjectSample, WatchCost
    from exporter.config import ResourceName

LARGE_BYTES = 5_000_000
"""One answer of this size, or more, is much memory at once for the apiserver."""

LITTLE = 0.5
MANY_TIMES = 2
FEW_OBJECTS = 100
"""Reading fewer costs next to nothing."""

_SINCE = {advice.name: advice.since for advice in KNOWN}


def advice_for(
    name: ResourceName, sample: ObjectSample | None, lists: Sequence[ListCost], watch: WatchCost | None
) -> list[Remedy]:
    """What is known to help, each with the figures that speak for it. A LIST that is not whole speaks for nothing."""
    whole: Mapping[Form, ListCost] = {cost.form: cost for cost in lists if cost.trouble is None}
    found = (
        ("resourceVersion=0", _for_cache(whole), "resourceVersion=0 is answered from the watch cache, a moment old"),
        ("informer", _for_informer(whole), "an informer lists once, and has an index where others select anew"),
        (
            "metadata only",
            _for_metadata(whole),
            "who needs names, labels and owners only asks for PartialObjectMetadata",
        ),
        ("metadata only", _for_metadata_watch(watch), "a watch of PartialObjectMetadata is sent less, as this one was"),
        ("streaming lists", _for_streaming(whole), "a streaming list is sent object by object, none of it is held"),
        ("limit", _for_limit(whole), f"limit={PAGE_OBJECTS} and continue keep each answer small"),
        ("EndpointSlices", _for_slices(name, sample), "each change sends a whole object; a slice has 100 addresses"),
    )
    return [
        Remedy(name=one, figures=figures, remedy=remedy, since=_SINCE[one]) for one, figures, remedy in found if figures
    ]


def _for_cache(whole: Mapping[Form, ListCost]) -> str | None:
    cached = whole.get("cached")
    if cached is None or cached.served is None or cached.served.place != "cache":
        return None
    said = [
        f"{TITLES[form]} reads {cost.served.objects_read} objects from the {cost.served.place} in {_answers(cost)}"
        for form in _BESIDES_CACHED
        if (cost := whole.get(form)) and cost.served and cost.served.place in {"store", "store and cache"}
    ]
    return " and ".join(said) or None


_BESIDES_CACHED: tuple[Form, ...] = ("newest", "pages")


def _for_informer(whole: Mapping[Form, ListCost]) -> str | None:
    said = [
        f"the LIST by {TITLES[form]} reads {cost.served.objects_read} objects and returns {cost.objects}"
        for form in _SELECTING
        if (cost := whole.get(form)) and cost.served and cost.served.place != "others listed too"
        if cost.served.objects_read > max(MANY_TIMES * cost.objects, FEW_OBJECTS)
    ]
    return " and ".join(said) or None


_SELECTING: tuple[Form, ...] = ("label", "namespace")


def _for_metadata(whole: Mapping[Form, ListCost]) -> str | None:
    full, metadata = whole.get("newest"), whole.get("metadata")
    if not full or not metadata or full.objects < FEW_OBJECTS or metadata.size_bytes > LITTLE * full.size_bytes:
        return None
    share = metadata.size_bytes / full.size_bytes
    return f"metadata are {bytes_text(metadata.size_bytes)} of {bytes_text(full.size_bytes)}, {share:.0%}"


def _for_metadata_watch(watch: WatchCost | None) -> str | None:
    if watch is None or watch.full_bytes_estimate is None or not watch.events:
        return None
    if watch.size_bytes > LITTLE * watch.full_bytes_estimate:
        return None
    got, full = (bytes_text(size / watch.seconds) for size in (watch.size_bytes, watch.full_bytes_estimate))
    return f"a watch of metadata is sent {got} each second, one of whole objects by estimate {full}"


def _for_streaming(whole: Mapping[Form, ListCost]) -> str | None:
    full, streamed = whole.get("newest"), whole.get("streaming")
    if not full or not streamed or full.size_bytes < LARGE_BYTES:
        return None
    return f"{TITLES['newest']} is one answer of {bytes_text(full.size_bytes)}"


def _for_limit(whole: Mapping[Form, ListCost]) -> str | None:
    full, paged = whole.get("newest"), whole.get("pages")
    if not full or not paged or full.size_bytes < LARGE_BYTES:
        return None
    one, each = bytes_text(full.size_bytes), bytes_text(paged.size_bytes / paged.pages)
    return f"{TITLES['newest']} is one answer of {one}, {TITLES['pages']} is {_answers(paged)} of {each}"


def _for_slices(name: ResourceName, sample: ObjectSample | None) -> str | None:
    if str(name) != "endpoints" or sample is None or sample.object_bytes is None:
        return None
    return f"one of the endpoints has {bytes_text(sample.object_bytes)} on average"


def _answers(cost: ListCost) -> str:
    return f"{cost.pages} answers" if cost.pages != 1 else "one answer"
