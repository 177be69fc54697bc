"""The protobuf format of Prometheus, the only one that can carry native histograms.

The messages are those of io.prometheus.client, in https://github.com/prometheus/client_model, metrics.proto.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate, count, groupby
from typing import NamedTuple

from prometheus_client import Metric

from exporter.measure.histogram import SCHEMA, ZERO_THRESHOLD, Histogram, NativeHistogram
from exporter.metrics.labels import LabelSet
from exporter.metrics.series import Exemplar, HistogramSample, Sample
from exporter.metrics.wire import double, double_value, message, signed, unsigned, varint, zigzag

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; escaping=underscores"
)

_TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
_HISTOGRAM = 7
_NUMBERS = {"counter": message(3, double(1, 0))[:-8], "gauge": message(2, double(1, 0))[:-8]}
"""The field of a Metric that holds the value, without the number itself."""


BLOCK_BYTES = 4_096
"""About as much is made between two pauses: as much work as four times as much text."""


class Encoder(NamedTuple):
    """Writes samples. Histograms that have native buckets have the classic ones as well if `has_classic_buckets`."""

    has_classic_buckets: bool

    def family(self, name: str, type_: str, help_: str, samples: Iterable[Iterable[Sample]]) -> Iterator[bytes]:
        """One family in blocks; first come empty ones while it is made, because its length stands at its beginning.

        A family without series is not written, which the format does not allow.
        """
        made, block = list[bytes](), bytearray()
        for of_child in samples:
            for labels, value in of_child:
                block += message(4, labels.protobuf + self._value(type_, value))
            if len(block) >= BLOCK_BYTES:
                made.append(bytes(block))
                block.clear()
                yield b""
        made.append(bytes(block))
        if any(made):
            head = message(1, name.encode()) + message(2, help_.encode()) + unsigned(3, _TYPES[type_])
            yield varint(len(head) + sum(map(len, made))) + head
            yield from made

    def _value(self, type_: str, value: float | HistogramSample) -> bytes:
        if not isinstance(value, HistogramSample):
            return _NUMBERS[type_] + double_value(value)
        histogram, exemplar = value
        content = unsigned(1, histogram.count) + double(2, histogram.sum)
        if self.has_classic_buckets or not isinstance(histogram, NativeHistogram):
            content += _classic(histogram)
        if isinstance(histogram, NativeHistogram):
            content += _native(histogram)
            content += _exemplar(exemplar) if exemplar is not None else b""
        return message(_HISTOGRAM, content)


def of_runtime(collected: Iterable[Metric]) -> Iterator[bytes]:
    """Families of prometheus_client, which are counters and gauges."""
    for family in collected:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        samples = [(LabelSet(one.labels), one.value) for one in family.samples if one.name == name]
        yield from Encoder(has_classic_buckets=False).family(name, family.type, family.documentation, [samples])


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
