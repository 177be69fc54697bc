"""Series for the hot path: counter, gauge, a value that is read elsewhere, and one set of histogram buckets.

Each writes its own lines of exposition text, and gives its samples to other formats. Prometheus_client's
labels().observe() costs 3 us, these 0.2 us. They know no families, scopes or HTTP.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from math import inf, isnan
from typing import Any, NamedTuple, TypeAlias

from exporter.measure.histogram import Histogram
from exporter.metrics.labels import LabelSet


class Exemplar(NamedTuple):
    """One observation of a histogram, and what it was of."""

    labels: LabelSet
    value: float
    at: float
    """Unix time."""


class HistogramSample(NamedTuple):
    """What a histogram has counted, and one of the observations."""

    histogram: Histogram
    exemplar: Exemplar | None = None


Sample: TypeAlias = tuple[LabelSet, float | HistogramSample]


def _series(name: str, labels: LabelSet) -> str:
    return f"{name}{{{labels.text}}}" if labels.text else name


def number(value: float) -> str:
    """A sample's value: whole counts without a point, floats with their shortest exact form."""
    if isinstance(value, int):
        return f"{value:d}"  # also for bool, which str() would spell out
    if isnan(value):
        return "NaN"
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


class Counter:
    """Only goes up; starts at 0, so that the first increment is visible to rate()."""

    __slots__ = ("_labels", "_series", "value")

    def __init__(self, name: str, labels: LabelSet) -> None:
        self._labels = labels
        self._series = _series(name, labels)
        self.value: float = 0

    def inc(self, n: float = 1) -> None:
        """Add n, which must not be negative."""
        self.value += n

    def text(self) -> str:
        """The counter's one line."""
        return f"{self._series} {number(self.value)}\n"

    def samples(self) -> Iterable[Sample]:
        """The counter's one sample."""
        return ((self._labels, self.value),)


class Gauge:
    """A value that comes and goes; absent from the scrape while it is None."""

    __slots__ = ("_labels", "_series", "value")

    def __init__(self, name: str, labels: LabelSet) -> None:
        self._labels = labels
        self._series = _series(name, labels)
        self.value: float | None = None

    def set(self, value: float | None) -> None:
        """Say the value, or None where there is none to say."""
        self.value = value

    def text(self) -> str:
        """The gauge's one line, or nothing."""
        return "" if self.value is None else f"{self._series} {number(self.value)}\n"

    def samples(self) -> Iterable[Sample]:
        """The gauge's one sample, or none."""
        return () if self.value is None else ((self._labels, self.value),)


class Reading:
    """A value that stands elsewhere, and is read for each scrape; left out of it where that is None."""

    __slots__ = ("_labels", "_read", "_series")

    def __init__(self, name: str, labels: LabelSet, read: Callable[[], float | None]) -> None:
        self._labels = labels
        self._series = _series(name, labels)
        self._read = read

    def text(self) -> str:
        """Its one line, or nothing."""
        value = self._read()
        return "" if value is None else f"{self._series} {number(value)}\n"

    def samples(self) -> Iterable[Sample]:
        """Its one sample, or none."""
        value = self._read()
        return () if value is None else ((self._labels, value),)


class Readings:
    """Values that stand elsewhere by a key, and are read for each scrape: one line for each of `series`."""

    __slots__ = ("_keys", "_labels", "_read", "_template")

    def __init__(self, name: str, labels: Mapping[Any, LabelSet], read: Callable[[], Mapping[Any, float]]) -> None:
        self._keys = tuple(labels)
        self._labels = tuple(labels.values())
        self._read = read
        series = [_series(name, one) for one in self._labels]
        self._template = "".join(f"{one.replace('%', '%%')} %s\n" for one in series)

    def text(self) -> str:
        """All its lines at once, of one moment."""
        values = self._read()
        return self._template % tuple([number(values[key]) for key in self._keys])

    def samples(self) -> Iterable[Sample]:
        """All its samples, of one moment."""
        values = self._read()
        return [(labels, values[key]) for labels, key in zip(self._labels, self._keys, strict=True)]


class HistogramReading:
    """A histogram that stands elsewhere, and is read for each scrape, perhaps with an exemplar."""

    __slots__ = ("_exemplar", "_labels", "_read", "_template")

    def __init__(
        self,
        name: str,
        labels: LabelSet,
        read: Callable[[], Histogram],
        exemplar: Callable[[], Exemplar | None] = lambda: None,
    ) -> None:
        self._exemplar = exemplar
        self._labels = labels
        self._read = read
        # All that never changes is formatted once; a label value may hold the template's own per cent sign.
        before_le = f"{labels.text}," if labels.text else ""
        buckets = [f'{name}_bucket{{{before_le}le="{number(bound)}"}}' for bound in (*read().bounds, inf)]
        series = [*buckets, _series(f"{name}_sum", labels), _series(f"{name}_count", labels)]
        self._template = "".join(f"{one.replace('%', '%%')} %s\n" for one in series)

    def text(self) -> str:
        """All lines at once, so that buckets, sum and count are of one moment."""
        histogram = self._read()
        cumulative = tuple(accumulate(histogram.counts))
        return self._template % (*cumulative, number(histogram.sum), cumulative[-1])

    def samples(self) -> Iterable[Sample]:
        """Its one sample."""
        return ((self._labels, HistogramSample(self._read(), self._exemplar())),)
