"""The encoding of protobuf messages, as far as metrics need it: https://protobuf.dev/programming-guides/encoding/."""

from struct import Struct

_VARINT, _FIXED_64, _DELIMITED = 0, 1, 2

double_value = Struct("<d").pack
"""A number of type double, without the field that it is of."""

_ONE_BYTE = [bytes((number,)) for number in range(0x80)]


def varint(number: int) -> bytes:
    """A number >= 0, seven bits in each byte, the lowest first."""
    if number < 0x80:
        return _ONE_BYTE[number]
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def unsigned(field: int, number: int) -> bytes:
    """A field of type uint32, uint64, int64 or an enumeration, with a number >= 0."""
    return varint(field << 3 | _VARINT) + varint(number)


def signed(field: int, number: int) -> bytes:
    """A field of type sint32 or sint64."""
    return varint(field << 3 | _VARINT) + varint(zigzag(number))


def double(field: int, number: float) -> bytes:
    """A field of type double."""
    return varint(field << 3 | _FIXED_64) + double_value(number)


def message(field: int, content: bytes) -> bytes:
    """A field with a message, a text or packed numbers in it."""
    return varint(field << 3 | _DELIMITED) + varint(len(content)) + content


def zigzag(number: int) -> int:
    """Small numbers stay small, whatever their sign."""
    return number * 2 if number >= 0 else -number * 2 - 1
