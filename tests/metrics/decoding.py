"""An independent reader of protobuf scrapes, by the table of io.prometheus.client's metrics.proto.

It shares no code with the writer under test, and refuses what the table does not have.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import Any

from tests.metrics.reading import Series

# Of each message: the name and the type of each field by its number.
TABLE: Mapping[str, Mapping[int, tuple[str, str]]] = {
    "MetricFamily": {1: ("name", "text"), 2: ("help", "text"), 3: ("type", "number"), 4: ("metric", "Metric")},
    "Metric": {
        1: ("label", "LabelPair"),
        2: ("gauge", "Value"),
        3: ("counter", "Value"),
        7: ("histogram", "Histogram"),
    },
    "LabelPair": {1: ("name", "text"), 2: ("value", "text")},
    "Value": {1: ("value", "double")},
    "Histogram": {
        1: ("sample_count", "number"),
        2: ("sample_sum", "double"),
        3: ("bucket", "Bucket"),
        5: ("schema", "signed"),
        6: ("zero_threshold", "double"),
        7: ("zero_count", "number"),
        12: ("positive_span", "BucketSpan"),
        13: ("positive_delta", "packed signed"),
        16: ("exemplars", "Exemplar"),
    },
    "Bucket": {1: ("cumulative_count", "number"), 2: ("upper_bound", "double")},
    "BucketSpan": {1: ("offset", "signed"), 2: ("length", "number")},
    "Exemplar": {1: ("label", "LabelPair"), 2: ("value", "double"), 3: ("timestamp", "Timestamp")},
    "Timestamp": {1: ("seconds", "number"), 2: ("nanos", "number")},
}
TYPES = {0: "counter", 1: "gauge", 4: "histogram"}

Message = dict[str, list[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadHistogram:
    """One series of a histogram."""

    count: int
    sum: float
    classic: dict[float, int]
    """The cumulative count up to each bound, +Inf left out as the format has it."""
    native: dict[int, int] | None
    """The count of each bucket by its index; None without native buckets."""
    zero_count: int
    exemplars: list[tuple[dict[str, str], float, float]]
    """Labels, value and Unix time."""


@dataclass(frozen=True, slots=True)
class ReadFamily:
    """One message of a scrape."""

    name: str
    type: str
    help: str
    samples: dict[Series, float | ReadHistogram]


def families_of(scrape: bytes) -> list[ReadFamily]:
    """All families, in order; fails on a series that is written twice."""
    families, position = [], 0
    while position < len(scrape):
        length, position = varint(scrape, position)
        assert position + length <= len(scrape), "it is cut"
        families.append(_family(read("MetricFamily", scrape[position : position + length])))
        position += length
    return families


def samples_of(scrape: bytes) -> dict[Series, float | ReadHistogram]:
    """All series of all families."""
    return {series: value for family in families_of(scrape) for series, value in family.samples.items()}


def varint(data: bytes, position: int) -> tuple[int, int]:
    """A number and where it ends."""
    number = shift = 0
    while True:
        number |= (data[position] & 0x7F) << shift
        shift += 7
        position += 1
        if data[position - 1] < 0x80:
            return number, position


def read(kind: str, data: bytes) -> Message:
    """All fields of a message by name, each a list."""
    found: Message = {name: [] for name, _ in TABLE[kind].values()}
    position = 0
    while position < len(data):
        key, position = varint(data, position)
        name, type_ = TABLE[kind][key >> 3]
        value: Any
        if type_ == "double":
            assert key & 7 == 1
            (value,) = struct.unpack_from("<d", data, position)
            position += 8
        elif type_ in ("number", "signed"):
            assert key & 7 == 0
            value, position = varint(data, position)
            value = unzigzag(value) if type_ == "signed" else value
        else:
            assert key & 7 == 2
            length, position = varint(data, position)
            inside, position = data[position : position + length], position + length
            assert len(inside) == length
            value = _inside(type_, inside)
        found[name] += value if type_ == "packed signed" else [value]
    return found


def _inside(type_: str, data: bytes) -> Any:
    if type_ == "text":
        return data.decode()
    return _packed(data) if type_ == "packed signed" else read(type_, data)


def _packed(data: bytes) -> list[int]:
    numbers, position = [], 0
    while position < len(data):
        number, position = varint(data, position)
        numbers.append(unzigzag(number))
    return numbers


def unzigzag(number: int) -> int:
    """As protobuf has it: 0, -1, 1, -2, ..."""
    return -(number + 1) // 2 if number % 2 else number // 2


def _labels(message: Message) -> dict[str, str]:
    return {pair["name"][0]: pair["value"][0] for pair in message["label"]}


def _family(message: Message) -> ReadFamily:
    [name], [type_number], [help_] = message["name"], message["type"], message["help"]
    type_ = TYPES[type_number]
    samples: dict[Series, float | ReadHistogram] = {}
    for metric in message["metric"]:
        series = (name, frozenset(_labels(metric).items()))
        assert series not in samples, f"{series} is written twice"
        [inside] = metric[type_]
        samples[series] = _histogram(inside) if type_ == "histogram" else inside["value"][0]
    return ReadFamily(name, type_, help_, samples)


def _histogram(message: Message) -> ReadHistogram:
    [count], [total] = message["sample_count"], message["sample_sum"]
    native = None
    if message["schema"]:
        assert (message["schema"], message["zero_threshold"]) == ([3], [2**-20])
        indices = list[int]()
        position = 0
        for span in message["positive_span"]:
            position += span["offset"][0]
            indices += range(position, position := position + span["length"][0])
        native = dict(zip(indices, accumulate(message["positive_delta"]), strict=True))
    return ReadHistogram(
        count=count,
        sum=total,
        classic={bucket["upper_bound"][0]: bucket["cumulative_count"][0] for bucket in message["bucket"]},
        native=native,
        zero_count=sum(message["zero_count"]),
        exemplars=[
            (_labels(one), one["value"][0], one["timestamp"][0]["seconds"][0] + one["timestamp"][0]["nanos"][0] / 1e9)
            for one in message["exemplars"]
        ],
    )


def native_index(seconds: float) -> int:
    """The bucket of schema 3 that an observation belongs to, as Prometheus' specification has it."""
    if seconds == inf:
        return 8 * 1024 + 1
    index = -400
    while 2.0 ** (index / 8) < seconds:
        index += 1
    return index
