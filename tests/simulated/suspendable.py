"""`watchslo` on a machine that can be suspended: who stops this process says afterwards for how long its clock stood.

Its monotonic clock is behind the real one by the seconds (a double) that are in the file $WATCHSLO_TESTS_ASLEEP; the
clock that counts on is the real one.
"""

import mmap
import os
import struct
import sys
import time
from pathlib import Path

from exporter.cli import main

VARIABLE = "WATCHSLO_TESTS_ASLEEP"


class Asleep:
    """The file, for who stops the process."""

    def __init__(self, file: Path) -> None:
        file.write_bytes(struct.pack("d", 0.0))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), 8)

    @property
    def seconds(self) -> float:
        """For how long it was suspended, all in all."""
        (seconds,) = struct.unpack_from("d", self._shared)
        return float(seconds)

    def add(self, seconds: float) -> None:
        """It was suspended once more."""
        struct.pack_into("d", self._shared, 0, self.seconds + seconds)


def fall_behind(file: Path) -> None:
    """From now on this process' monotonic clock is behind as the file says."""
    with file.open("rb") as opened:
        asleep = mmap.mmap(opened.fileno(), 8, prot=mmap.PROT_READ)
    awake = time.monotonic
    time.monotonic = lambda: awake() - struct.unpack_from("d", asleep)[0]


if __name__ == "__main__":
    fall_behind(Path(os.environ[VARIABLE]))
    sys.exit(main())
