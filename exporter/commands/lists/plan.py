"""The forms of LIST that are compared, and what they will load, by a sample. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from exporter.commands.lists.result import FORMS, ObjectSample
from exporter.commands.text_table import bytes_text
from exporter.kubernetes.session import ONLY_METADATA_LIST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from exporter.commands.lists.result import Form
    from exporter.kubernetes.resources import Resource

PAGE_OBJECTS = 500
"""As client-go's informers and kubectl ask for."""

EVENT_BYTES = 30
"""What an event of a streaming list has beside its object."""

WHOLE = "application/json"

MOST_TIMES_EXPECTED = 2
LEAST_ALLOWED_BYTES = 16 * 2**20
"""A LIST is stopped after so many times what was expected of it, but never before these bytes."""

LIST_SECONDS = 120.0
"""Limit on one form of LIST, with all of its pages: twice an apiserver's own on one request."""

STREAMING_SECONDS = 300
"""The watch is ended by us much earlier."""


class SampledObject(NamedTuple):
    """What is asked of each object of the sample."""

    namespace: str
    labels: Sequence[str]
    """Each as key=value."""


class PlannedList(NamedTuple):
    """One form of LIST: what to ask for, and how much will come. `why_not` says why there is nothing to ask for."""

    form: Form
    namespace: str | None
    parameters: Mapping[str, str]
    accept: str
    expected_bytes: float
    why_not: str | None = None


def sample_of(
    objects: Sequence[SampledObject], remaining: int | None, *, full_bytes: int, metadata_bytes: int, has_choice: bool
) -> ObjectSample:
    """Of the objects of one page, in both forms. `has_choice`: whether a namespace can be chosen."""
    count = len(objects)
    labels = Counter(label for one in objects for label in set(one.labels))
    common = _most({label: times for label, times in labels.items() if times < count}) or _most(labels)
    namespace = _most(Counter(one.namespace for one in objects)) if has_choice else None
    return ObjectSample(
        sampled=count,
        objects=None if remaining is None else count + remaining,
        object_bytes=full_bytes / count if count else None,
        metadata_bytes=metadata_bytes / count if count else None,
        label=common and common[0],
        label_share=common[1] / count if common else 0.0,
        namespace=namespace and namespace[0],
        namespace_share=namespace[1] / count if namespace else 0.0,
    )


def _most(times: Mapping[str, int]) -> tuple[str, int] | None:
    return min(times.items(), key=lambda item: (-item[1], item[0]), default=None)


def planned(resource: Resource, namespace: str | None, sample: ObjectSample) -> list[PlannedList]:
    """All forms, in the order in which they are sent."""
    objects = sample.objects if sample.objects is not None else sample.sampled
    whole, metadata = (objects * (each or 0.0) for each in (sample.object_bytes, sample.metadata_bytes))
    expected: dict[Form, float] = {
        "label": whole * sample.label_share,
        "namespace": whole * sample.namespace_share,
        "metadata": metadata,
        "streaming": whole + EVENT_BYTES * objects,
    }
    why_not: dict[Form, str | None] = {
        "label": None if sample.label else "no object of the sample has a label",
        "namespace": None if sample.namespace else _why_no_namespace(resource, namespace),
    }
    return [
        PlannedList(
            form,
            sample.namespace if form == "namespace" else namespace,
            _parameters(form, sample),
            ONLY_METADATA_LIST if form == "metadata" else WHOLE,
            expected.get(form, whole),
            why_not.get(form),
        )
        for form in FORMS
    ]


def _why_no_namespace(resource: Resource, namespace: str | None) -> str:
    if not resource.is_namespaced:
        return f"{resource} have no namespaces"
    return "there are no objects" if namespace is None else "all of these are of one namespace"


def _parameters(form: Form, sample: ObjectSample) -> Mapping[str, str]:
    match form:
        case "cached":
            return {"resourceVersion": "0"}
        case "pages":
            return {"limit": str(PAGE_OBJECTS)}
        case "label":
            return {"labelSelector": sample.label or ""}
        case "streaming":
            return {
                "watch": "true",
                "sendInitialEvents": "true",
                "resourceVersionMatch": "NotOlderThan",
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(STREAMING_SECONDS),
            }
        case _:
            return {}


def most_bytes(planned: PlannedList) -> float:
    """Of what is announced nobody has agreed to more than a few times."""
    return max(MOST_TIMES_EXPECTED * planned.expected_bytes, LEAST_ALLOWED_BYTES)


def announcement(
    sample: ObjectSample, lists: Iterable[PlannedList], watch_seconds: float, *, reads_metrics: bool
) -> str:
    """What will be loaded, for the person who is asked."""
    sent = [planned for planned in lists if planned.why_not is None]
    objects = sample.objects if sample.objects is not None else sample.sampled
    pages = max(-(-objects // PAGE_OBJECTS), 1)
    how_many = f"{objects} objects" if sample.objects is not None else f"more than {sample.sampled} objects"
    each = f", about {bytes_text(sample.object_bytes)} each" if sample.object_bytes else ""
    metrics = f"; the apiserver's /metrics are read {len(sent) + 1} times" if reads_metrics else ""
    return (
        f"{how_many}{each}: {len(sent) - 1 + pages} requests, one after another, will load about "
        f"{bytes_text(sum(planned.expected_bytes for planned in sent))} (a LIST is stopped if it brings more than "
        f"{MOST_TIMES_EXPECTED} times its part of that, after {LIST_SECONDS:g} s, or at a 429); then a watch of "
        f"metadata for {watch_seconds:g} s{metrics}"
    )
