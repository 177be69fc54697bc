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

if __name__ == "__main__":
    with Path(os.environ["WATCHSLO_TESTS_ASLEEP"]).open("rb") as file:
        asleep = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    awake = time.monotonic
    time.monotonic = lambda: awake() - struct.unpack_from("d", asleep)[0]
    sys.exit(main())
