"""The cost of a process so far, as counted by the kernel."""

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MEBIBYTE = 1 << 20


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads since it started."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def exact_cpu_seconds(pid: int) -> float:
    """The same in nanoseconds instead of ticks; threads that have ended are missing."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text(encoding="utf-8").split()[0]) for thread in threads) / 1e9


def peak_bytes(pid: int) -> int:
    """Its peak resident memory."""
    return _kibibytes(Path(f"/proc/{pid}/status"), "VmHWM")


def resident_bytes(pid: int) -> int:
    """Its resident memory now."""
    return _kibibytes(Path(f"/proc/{pid}/status"), "VmRSS")


def proportional_bytes(pid: int) -> int:
    """Its resident memory now, with its proportional share of shared pages."""
    return _kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss")


def private_bytes(pid: int) -> int:
    """Its resident memory now that it shares with nobody."""
    file = Path(f"/proc/{pid}/smaps_rollup")
    return _kibibytes(file, "Private_Clean") + _kibibytes(file, "Private_Dirty")


def _kibibytes(file: Path, name: str) -> int:
    [line] = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024
