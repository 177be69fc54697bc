"""For how long a CPU limit has kept this process from running: what cpu.stat of its cgroup says."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")

UNITS = {"throttled_usec": 1e-6, "throttled_time": 1e-9}
"""The field in version 2 of cgroups, and in version 1."""


class CpuLimit:
    """Reads the one file that says it; looked for once."""

    def __init__(self, cgroups: Path = CGROUPS, membership: Path = MEMBERSHIP) -> None:
        files = [folder / "cpu.stat" for folder in _folders(cgroups, membership)]
        self._file = next((file for file in files if _throttled_seconds(file) is not None), None)

    def throttled_seconds(self) -> float | None:
        """Since the cgroup exists, of all its CPUs together; None where the kernel does not say."""
        return _throttled_seconds(self._file) if self._file is not None else None


def _folders(cgroups: Path, membership: Path) -> list[Path]:
    """Where it may be; a container may see its own cgroup as the root, whatever path it is told."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    folders: list[Path] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            root = cgroups / "cpu" if controllers else cgroups
            folders += [root / path.lstrip("/"), root]
    return folders


def _throttled_seconds(file: Path) -> float | None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    for name, _, count in (line.partition(" ") for line in lines):
        if name in UNITS:
            return int(count) * UNITS[name]
    return None
