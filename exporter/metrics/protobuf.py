"""The protobuf format of Prometheus, the only one that can carry native histograms.

The messages are those of io.prometheus.client, in https://github.com/prometheus/client_model, metrics.proto.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate, count, groupby

from prometheus_client import Metric

from exporter.measure.histogram import SCHEMA, ZERO_THRESHOLD, Histogram, NativeHistogram
from exporter.metrics.families import Family
from exporter.metrics.labels import LabelSet
from exporter.metrics.series import Exemplar, HistogramSample, Sample
from exporter.metrics.wire import delimited, double, message, signed, unsigned, varint, zigzag

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
)

_TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
_VALUES = {"counter": 3, "gauge": 2, "histogram": 7}
"""The field of a Metric that holds the value."""


class FamilyMessage:
    """One family: its series are added, then it is written, because its length comes first.

    `has_classic_buckets` says whether histograms with native buckets have the classic ones as well.
    """

    def __init__(self, name: str, type_: str, help_: str, *, has_classic_buckets: bool) -> None:
        self._value = _VALUES[type_]
        self._has_classic_buckets = has_classic_buckets
        self._announced = message(1, name.encode()) + message(2, help_.encode()) + unsigned(3, _TYPES[type_])
        self._series: list[bytes] = []

    @classmethod
    def of(cls, family: Family, *, has_classic_buckets: bool) -> "FamilyMessage":
        """One of the contract."""
        return cls(family.name, family.type, family.help, has_classic_buckets=has_classic_buckets)

    def add(self, samples: Iterable[Sample]) -> int:
        """Add series; returns their length in bytes."""
        length = 0
        for labels, value in samples:
            content = self._observations(value) if isinstance(value, HistogramSample) else double(1, value)
            series = message(4, labels.protobuf + message(self._value, content))
            self._series.append(series)
            length += len(series)
        return length

    def written(self) -> bytes:
        """The message with its length before it; nothing without series, which the format does not allow."""
        return delimited(b"".join((self._announced, *self._series))) if self._series else b""

    def _observations(self, observations: HistogramSample) -> bytes:
        histogram = observations.histogram
        content = unsigned(1, histogram.count) + double(2, histogram.sum)
        if not isinstance(histogram, NativeHistogram):
            return content + _classic(histogram)
        classic = _classic(histogram) if self._has_classic_buckets else b""
        exemplar = observations.exemplar
        return content + classic + _native(histogram) + (_exemplar(exemplar) if exemplar is not None else b"")


def of_runtime(collected: Iterable[Metric]) -> Iterator[bytes]:
    """Families of prometheus_client, of counters and gauges; other types are untyped to us, and there are none."""
    for family in collected:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        made = FamilyMessage(name, family.type, family.documentation, has_classic_buckets=False)
        made.add((LabelSet(one.labels), one.value) for one in family.samples if one.name == name)
        yield made.written()


def _classic(histogram: Histogram) -> bytes:
    up_to = accumulate(histogram.counts)
    buckets = zip(histogram.bounds, up_to, strict=False)  # that of +Inf is the count
    return b"".join(message(3, unsigned(1, times) + double(2, bound)) for bound, times in buckets)


def _native(histogram: NativeHistogram) -> bytes:
    """Spans of neighbouring buckets, then each bucket's count less that of the one before."""
    zero_count, counts = histogram.native
    spans, end = b"", 0
    for _, run in groupby(zip(counts, count(), strict=False), key=lambda numbered: numbered[0] - numbered[1]):
        indices = [index for index, _ in run]
        spans += message(12, signed(1, indices[0] - end) + unsigned(2, len(indices)))
        end = indices[-1] + 1
    deltas = [now - before for now, before in zip(counts.values(), (0, *counts.values()), strict=False)]
    packed = b"".join(varint(zigzag(delta)) for delta in deltas)
    zero = double(6, ZERO_THRESHOLD) + unsigned(7, zero_count)
    return signed(5, SCHEMA) + zero + spans + (message(13, packed) if packed else b"")


def _exemplar(exemplar: Exemplar) -> bytes:
    seconds, fraction = divmod(exemplar.at, 1)
    at = unsigned(1, int(seconds)) + unsigned(2, int(fraction * 1e9))
    return message(16, exemplar.labels.protobuf + double(2, exemplar.value) + message(3, at))
