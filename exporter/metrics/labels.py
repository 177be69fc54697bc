"""The labels of a series, as both formats write them."""

from collections.abc import Mapping

from exporter.metrics.wire import message


class LabelSet:
    """Labels in the order in which they are written."""

    __slots__ = ("_labels", "_protobuf", "text")

    def __init__(self, labels: Mapping[str, str]) -> None:
        self._labels = dict(labels)
        self._protobuf: bytes | None = None
        self.text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
        """What stands between the braces."""

    @property
    def protobuf(self) -> bytes:
        """The fields `label` of a Metric or an Exemplar; made when somebody first asks for them."""
        if self._protobuf is None:
            pairs = [message(1, name.encode()) + message(2, value.encode()) for name, value in self._labels.items()]
            self._protobuf = b"".join(message(1, pair) for pair in pairs)
        return self._protobuf


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
