"""Runs the exporter under what the kernel enforces of the unit, as systemd would: `-m tests.deploy.confined demo`.

That is the filter of system calls, the families of addresses, and no new code in memory. It takes libseccomp and
Linux 6.3.
"""

import ctypes
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "watchslo.service"

PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 38, 65
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SCMP_ACT_ERRNO(EPERM)
UNKNOWN = -1
EQUAL = 4


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def calls(group: str) -> Iterator[str]:
    """The system calls of a group, those of the groups in it too."""
    shown = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True)
    for word in re.findall(r"(?m)^ +([@\w-]+)$", shown.stdout):
        yield from calls(word) if word.startswith("@") else (word,)


def allowed(unit: str) -> set[str]:
    """Those that are left of the unit's lists; @default is always in them."""
    left = {*calls("@default")}
    for value in re.findall("(?m)^SystemCallFilter=(.*)$", unit):
        for word in value.removeprefix("~").split():
            named = {*calls(word)}
            left = left - named if value.startswith("~") else left | named
    return left


def confine(unit: str) -> None:
    """From now on, for this process and those that it starts."""
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    [families] = re.findall("(?m)^RestrictAddressFamilies=(.*)$", unit)
    for name in allowed(unit):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number != UNKNOWN and name != "socket":
            seccomp.seccomp_rule_add(context, ALLOW, number, 0)
    for family in families.split():
        of_family = Comparison(0, EQUAL, getattr(socket, family), 0)
        number = seccomp.seccomp_syscall_resolve_name(b"socket")
        assert seccomp.seccomp_rule_add(context, ALLOW, number, 1, of_family) == 0
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert "\nMemoryDenyWriteExecute=yes\n" in unit
    assert libc.prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(UNIT.read_text(encoding="utf-8"))
    os.execv(sys.executable, [sys.executable, "-m", "exporter", *sys.argv[1:]])  # noqa: S606 this is what it is for
