"""Reads a file that a user names, with a limit of bytes and without waiting for a FIFO's writer."""

import os
import stat
from pathlib import Path

MOST_BYTES = 2**20
"""A kubeconfig of a hundred clusters, or a bundle of all public authorities, has half of it."""


def content_of(path: str | Path) -> bytes:
    """All of it. Raises OSError, or ValueError with the rest of a sentence that begins with the path."""
    # Whoever opens a FIFO waits for its writer otherwise, for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("is not a file")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"is longer than {MOST_BYTES} bytes")
    return content
