"""The labels of a series, as both formats write them."""

from collections.abc import Mapping
from functools import lru_cache

from exporter.metrics.wire import message


class LabelSet:
    """Labels in the order in which they are written. There are many of these, so they keep little."""

    __slots__ = ("_names", "_protobuf", "_values")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._names = _shared(tuple(labels))
        self._values = tuple(labels.values())
        self._protobuf: bytes | None = None

    @property
    def text(self) -> str:
        """What stands between the braces."""
        return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(self._names, self._values, strict=True))

    @property
    def protobuf(self) -> bytes:
        """The fields `label` of a Metric or an Exemplar; made when somebody first asks for them."""
        if self._protobuf is None:
            encoded = [
                message(1, message(1, name.encode()) + message(2, value.encode()))
                for name, value in zip(self._names, self._values, strict=True)
            ]
            self._protobuf = b"".join(encoded)
        return self._protobuf


@lru_cache(maxsize=100)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for the same names: a hundred families have few kinds of labels."""
    return names


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
