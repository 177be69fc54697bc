"""Formats the costs for people. Columns are padded with spaces; nothing else is assumed of the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.commands.lists.result import TITLES
from exporter.commands.text_table import aligned, bytes_text, folded
from exporter.wording.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from exporter.commands.lists.result import CollectionCost, ListCost, Remedy, WatchCost

MUCH_OF_ITS_TIME = 0.1

_LISTS = ("LIST", "FIRST BYTE", "END", "BYTES", "OBJECTS", "PAGES", "READ", "FROM")


def table(collections: Iterable[CollectionCost], width: int | None = None) -> str:
    """A section for each resource on each apiserver, not wider than `width` where that is given."""
    return "\n\n".join("\n".join(_section(collection, width)) for collection in collections)


def _section(collection: CollectionCost, width: int | None) -> Iterator[str]:
    yield from _folded([_heading(collection)], width)
    if not collection.lists:
        return
    yield ""
    yield from aligned([_LISTS, *(_row(cost) for cost in collection.lists)], width)
    notes = [*_notes(collection), *_watch(collection.watch), *(_remedy(remedy) for remedy in collection.advice)]
    if notes:
        yield ""
        yield from _folded(notes, width)


def _folded(lines: Iterable[str], width: int | None) -> Iterator[str]:
    for line in lines:
        yield from folded(line, width)


def _heading(collection: CollectionCost) -> str:
    sample = collection.sample
    if collection.trouble is not None or sample is None:
        return f"{collection.name}: {collection.trouble}"
    if sample.object_bytes is None or sample.metadata_bytes is None:
        return f"{collection.name}: no objects"
    how_many = f"{sample.objects} objects" if sample.objects is not None else f"more than {sample.sampled} objects"
    return (
        f"{collection.name}: {how_many}; the first {sample.sampled} have {bytes_text(sample.object_bytes)} each, "
        f"{bytes_text(sample.metadata_bytes)} of that metadata"
    )


def _row(cost: ListCost) -> Sequence[str]:
    title = f"{TITLES[cost.form]}{' (stopped)' if cost.trouble and cost.size_bytes else ''}"
    if cost.seconds is None:
        return (title, *["-"] * (len(_LISTS) - 1))
    served = cost.served
    return (
        title,
        _seconds(cost.first_byte_seconds),
        _seconds(cost.seconds),
        bytes_text(cost.size_bytes),
        str(cost.objects),
        str(cost.pages),
        "-" if served is None else str(served.objects_read),
        served.place if served is not None else "not known" if cost.why_not_served else "-",
    )


def _notes(collection: CollectionCost) -> Iterator[str]:
    for cost in collection.lists:
        if cost.trouble is not None:
            yield f"{TITLES[cost.form]}: {cost.trouble}"
        if cost.why_not_served is not None:
            yield f"{TITLES[cost.form]}: it is not known what was read from where: {cost.why_not_served}"
    share = max((cost.counting_seconds / cost.seconds for cost in collection.lists if cost.seconds), default=0.0)
    if share > MUCH_OF_ITS_TIME:
        yield f"up to {share:.0%} of these times was the counting itself: another client may be faster by that much"
    by = {cost.form: cost.request for cost in collection.lists if cost.trouble is None}
    yield from (f"{TITLES[form]}: {printable(by[form])}" for form in ("label", "namespace") if form in by)
    if collection.why_no_server_metrics is not None:
        yield f"the apiserver's metrics do not say what was read from where: {collection.why_no_server_metrics}"


def _watch(watch: WatchCost | None) -> Iterator[str]:
    if watch is None:
        return
    if watch.seconds:
        full = "" if not watch.full_bytes_estimate else _estimate(watch.full_bytes_estimate / watch.seconds)
        yield (
            f"a watch of metadata, for {watch.seconds:.1f} s: {watch.events / watch.seconds:.1f} events and "
            f"{bytes_text(watch.size_bytes / watch.seconds)} each second{full}"
        )
    if watch.trouble is not None:
        yield f"watch: {watch.trouble}"


def _estimate(bytes_per_second: float) -> str:
    return f"; of whole objects it would be {bytes_text(bytes_per_second)} each second (estimate, by the sample)"


def _remedy(remedy: Remedy) -> str:
    return f"{remedy.name}: {remedy.figures}; {remedy.remedy} ({remedy.since})"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f} s"
