"""The part of protobuf that a watch needs: reads and writes the fields of a message, without schema or library."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

VARINT, LENGTH_DELIMITED = 0, 2


class Field(NamedTuple):
    """One field of a message: a number, or the bytes of a string or of a message inside."""

    number: int
    value: int | bytes


def fields(message: bytes) -> list[Field]:
    """The fields of `message`, in order. Raises ValueError for the wire types that no watch has."""
    found: list[Field] = []
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        value, position = _varint(message, position)
        if key & 7 == LENGTH_DELIMITED:
            found.append(Field(key >> 3, message[position : position + value]))
            position += value
        elif key & 7 == VARINT:
            found.append(Field(key >> 3, value))
        else:
            raise ValueError(f"wire type {key & 7}")
    return found


def message(parts: Iterable[Field]) -> bytes:
    """The message with these fields."""
    return b"".join(_encoded(part) for part in parts)


def inside(outer: bytes, *path: int) -> bytes:
    """The bytes of the nested field at `path`, a sequence of field numbers; of repeated fields the first."""
    for number in path:
        outer = next(part.value for part in fields(outer) if part.number == number and isinstance(part.value, bytes))
    return outer


def replaced(outer: bytes, path: Sequence[int], value: bytes) -> bytes:
    """The same message with `value` in the nested field at `path`; enclosing lengths are updated."""
    number, *rest = path
    parts = fields(outer)
    at = next(index for index, part in enumerate(parts) if part.number == number)
    within = parts[at].value
    assert isinstance(within, bytes)
    parts[at] = Field(number, replaced(within, rest, value) if rest else value)
    return message(parts)


def _encoded(part: Field) -> bytes:
    if isinstance(part.value, int):
        return _as_varint(part.number << 3 | VARINT) + _as_varint(part.value)
    return _as_varint(part.number << 3 | LENGTH_DELIMITED) + _as_varint(len(part.value)) + part.value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
