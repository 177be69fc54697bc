"""Objects that refer to each other in circles: the event loop stands still while they are looked for.

Whatever is in no circle goes at once, when nothing refers to it any more. With hundreds of watches a look at everything
takes 60 ms; Python would take it every few seconds, and find nothing.
"""

from __future__ import annotations

import asyncio
import gc
import sys

LOOK_SECONDS = 10.0
GROWTH = 1.25
"""Python's own rule for its oldest generation, but of everything that there is: circles come where requests fail."""

NEW_OBJECTS = 100
"""A look at what is new is taken after so many, not after Python's 700: as much work in all, in shorter steps."""

NEVER = 2**31 - 1


def keep_all() -> None:
    """Whatever there is now stays for long: no look is taken at it again."""
    gc.collect()
    gc.freeze()


def free_kept() -> None:
    """Look at that too, once: a tenth of a second."""
    gc.unfreeze()
    keep_all()


async def collect_when_grown(look_seconds: float = LOOK_SECONDS) -> None:
    """Until cancelled, look at what is new alone, and at everything only where there is more and more of it."""
    before = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, NEVER)
    try:
        blocks = sys.getallocatedblocks()
        while True:
            await asyncio.sleep(look_seconds)
            if sys.getallocatedblocks() > GROWTH * blocks:
                gc.collect()
                blocks = sys.getallocatedblocks()
    finally:
        gc.set_threshold(*before)
