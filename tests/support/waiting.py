"""Waiting for what no event announces: a question in, a return once the answer is yes."""

import asyncio
from collections.abc import Awaitable, Callable

Question = Callable[[], bool | Awaitable[bool]]


async def wait_until(question: Question, what: str, *, timeout_seconds: float = 20.0) -> None:
    """Ask until the answer is yes. Raises TimeoutError, naming `what` was waited for."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not await _answer(question):  # noqa: ASYNC110  the answer may lie in another process: no event of ours
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise TimeoutError(f"{what}: not so within {timeout_seconds:g} s") from None


async def _answer(question: Question) -> bool:
    answer = question()
    return answer if isinstance(answer, bool) else await answer
