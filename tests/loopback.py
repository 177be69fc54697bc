"""No test talks to anybody but this machine: `10.0.0.1` in a fixture may be somebody's.

It hears what goes through Python's sockets; what the commands under test do in processes of their own, it does not.
"""

import socket
import sys
from ipaddress import IPv6Address, ip_address
from typing import Any

elsewhere: list[str] = []
"""Whom somebody has tried to talk to; nothing was sent."""

_TALKING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


def is_loopback(host: str) -> bool:
    """Whether it is this machine and nobody else."""
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _TALKING:
        return
    its_socket, address = arguments
    is_of_a_network = its_socket.family in {socket.AF_INET, socket.AF_INET6}
    if is_of_a_network and address is not None and not is_loopback(address[0]):
        elsewhere.append(f"{address[0]}:{address[1]}")
        raise ConnectionRefusedError(f"a test talks to {elsewhere[-1]}: use 127.0.0.0/8 and [::1] only")


def hold_tests_to_it() -> None:
    """For good, as no such hook can be taken away again."""
    sys.addaudithook(_refuse)
