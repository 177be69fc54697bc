"""What Linux says of a connection (linux/tcp.h: struct tcp_info), and what it has received that we have not read."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING

from exporter.measure.stream_state import SocketState

if TYPE_CHECKING:
    from exporter.measure.times import Instant

TCP_INFO = getattr(socket, "TCP_INFO", None)
"""Linux has it; offsets elsewhere are others."""

LAST_DATA_RECEIVED_MS, ROUND_TRIP_US, RECEIVE_ROUND_TRIP_US = 52, 68, 92
BYTES_RECEIVED, OUT_OF_ORDER_PACKETS = 128, 224
LENGTH_BYTES = OUT_OF_ORDER_PACKETS + 4
"""Since Linux 5.4; a struct that is shorter does not say everything, and then says nothing here."""


def socket_state(fd: int, opened: Instant) -> SocketState | None:
    """Of the open socket `fd`, connected at `opened`; None where nobody says it, and of what is no TCP connection."""
    if TCP_INFO is None:
        return None
    try:
        lent = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=fd)
        try:
            info = lent.getsockopt(socket.IPPROTO_TCP, TCP_INFO, LENGTH_BYTES)
            unread = fcntl.ioctl(fd, termios.FIONREAD, bytes(4))
        finally:
            lent.detach()  # the descriptor is another's, who closes it
    except OSError:
        return None
    if len(info) < LENGTH_BYTES:
        return None
    return SocketState(
        opened=opened,
        round_trip_seconds=_u32(info, ROUND_TRIP_US) * 1e-6,
        receive_round_trip_seconds=_u32(info, RECEIVE_ROUND_TRIP_US) * 1e-6,
        silent_seconds=_u32(info, LAST_DATA_RECEIVED_MS) * 1e-3,
        unread_bytes=_u32(unread, 0),
        out_of_order_packets=_u32(info, OUT_OF_ORDER_PACKETS),
        received_bytes=struct.unpack_from("=Q", info, BYTES_RECEIVED)[0],
    )


def _u32(data: bytes, offset: int) -> int:
    (number,) = struct.unpack_from("=I", data, offset)
    assert isinstance(number, int)
    return number
