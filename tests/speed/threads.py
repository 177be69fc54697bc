"""`python -m tests.speed.threads`: what a second thread is worth, and what a second process.

Each has an event loop and a stream of its own, and is fed with bytes directly. With a free-threaded Python nothing
stops the threads from running at the same time but what they share: types, modules, caches.
"""
# ruff: noqa: T201 it prints its result

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from tests.speed.guard import Pipeline

EVENTS, ROUNDS = 400, 150


def process(at_once: int) -> tuple[float, float]:
    """Read, judge and count events, so many at once; when it began and ended."""

    async def all_rounds() -> tuple[float, float]:
        pipeline = Pipeline()
        await pipeline.events(EVENTS, at_once)()
        began = time.perf_counter()
        for _ in range(ROUNDS):
            await pipeline.events(EVENTS, at_once)()
        return began, time.perf_counter()

    return asyncio.run(all_rounds())


def rate(executor: Callable[[int], Executor], workers: int, at_once: int) -> float:
    """Events per second of all workers together."""
    with executor(workers) as pool:
        list(pool.map(process, [at_once] * workers))  # they start and import
        began, ended = zip(*pool.map(process, [at_once] * workers), strict=True)
    seconds: float = max(ended) - min(began)
    return workers * EVENTS * ROUNDS / seconds


def processes(workers: int) -> Executor:
    """Of their own, which share nothing."""
    return ProcessPoolExecutor(workers, get_context("spawn"))


def main() -> None:
    """A worker of each kind, and two."""
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, {'with' if has_lock else 'without'} its global lock")
    for at_once in (1, 50):
        alone = rate(ThreadPoolExecutor, 1, at_once)
        threads, others = (rate(kind, 2, at_once) / alone for kind in (ThreadPoolExecutor, processes))
        print(f"{at_once} at once: {alone:.0f} events/s; two threads {threads:.2f} of it, two processes {others:.2f}")


if __name__ == "__main__":
    main()
