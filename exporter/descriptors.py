"""The soft limit of file descriptors up to the hard one, as Go does it, but not for the programs that we start; a
warning before the hard one is reached.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
from contextlib import suppress

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
NEAR_RATIO = 0.8

_before_raised: list[tuple[int, int]] = []
"""The limits that we were given; none as long as we have these."""


def limit() -> int:
    """How many this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_limit() -> None:
    """Allow this process as many as the hard limit says: the soft one is low for programs that use select().

    Nothing is done where that is not allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            _before_raised[:] = [(soft, hard)]
        except (OSError, ValueError) as error:
            fields = {"limit": soft, "error": str(error)}
            log.warning("the limit of file descriptors cannot be raised", extra={"fields": fields})


def restore_limit(pid: int) -> None:
    """Give a program that we have just started the soft limit that we were given: it may use select()."""
    for limits in _before_raised:
        with suppress(AttributeError, OSError):  # on Linux alone, and it may have ended
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


async def warn_when_few() -> None:
    """Say once, each time that it becomes so, that few are left; for ever."""
    was_near = False
    while True:
        most = limit()
        is_near = _lowest_free() >= NEAR_RATIO * most
        if is_near and not was_near:
            log.warning("few file descriptors are left: raise the hard limit", extra={"fields": {"limit": most}})
        was_near = is_near
        await asyncio.sleep(LOOK_SECONDS)


def _lowest_free() -> int:
    """As many as this are in use, at least: to count them all takes milliseconds."""
    try:
        descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return limit()
    os.close(descriptor)
    return descriptor
