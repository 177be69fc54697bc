"""`watchslo top`: the sentence, the rows and the log of the page in a terminal, live, with keys.

It asks a running exporter, or measures itself. Where its output is no terminal it is written once.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import time
import tty
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleDimensions
from rich.live import Live

from exporter.commands.running import completed, quieter
from exporter.commands.top.choice import Choice, keys
from exporter.commands.top.documents import HISTORY_PATH, STATUS_PATH, STEPS, seen
from exporter.commands.top.screen import screen
from exporter.config import ConfigError
from exporter.service import logs
from exporter.service.daemon import Exporter, load_credentials, serving_nowhere
from exporter.turns import joined_in_turns
from exporter.web.history import blocks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from exporter.commands.asking import RunningExporter
    from exporter.commands.top.documents import Seen
    from exporter.config import Config

    Source = Callable[[], Awaitable[Seen]]

PERIOD_SECONDS = 2.0
FIRST_SECONDS = 10.0
"""To measure before what is no terminal is written."""

KEY_BYTES = 64


def run(config: Config, asked: RunningExporter | None) -> int:
    """Show it until a key ends it. Raises ConfigError if nothing can be measured, or who is asked does not answer."""
    logs.set_up(quieter(config))
    completed(_run(config, asked))
    return 0


async def _run(config: Config, asked: RunningExporter | None) -> None:
    async with AsyncExitStack() as stack:
        source = _remote(asked) if asked is not None else await _own(config, stack)
        if not (sys.stdout.isatty() and sys.stdin.isatty()):
            if asked is None:
                await asyncio.sleep(FIRST_SECONDS)
            console = Console()
            everything = ConsoleDimensions(console.width, 1000)
            console.print(screen(await source(), Choice(has_keys=False), everything, None))
            return
        await _live(source)


def _remote(asked: RunningExporter) -> Source:
    async def source() -> Seen:
        status = await asyncio.to_thread(asked.answer, STATUS_PATH)
        past = await asyncio.to_thread(asked.answer, HISTORY_PATH)
        try:
            return seen(status, past)
        except ValueError:
            raise ConfigError(f"--url: {asked.url} does not answer as this version of watchslo does") from None

    return source


async def _own(config: Config, stack: AsyncExitStack) -> Source:
    exporter = Exporter(serving_nowhere(config), await load_credentials(config))
    await stack.enter_async_context(exporter.running())

    async def source() -> Seen:
        look = exporter.look(has_errors=True)
        said = await joined_in_turns(exporter.status(has_errors=True))
        return seen(said, await joined_in_turns(blocks(look, look.states, STEPS)))

    return source


async def _live(source: Source) -> None:
    """Draw what the source says, and what keys choose, until one of them ends it."""
    choice, trouble, shown = Choice(), None, await source()
    read_at = time.monotonic()
    with _pressed() as pressed, Live(console=Console(), screen=True, auto_refresh=False) as live:
        while not choice.is_over:
            live.update(screen(shown, choice, live.console.size, trouble), refresh=True)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, read_at + PERIOD_SECONDS - time.monotonic())):
                    for key in keys(await pressed.get()):
                        choice = choice.pressed(key, choice.shown(shown.rows))
                    continue
            read_at = time.monotonic()
            try:
                shown, trouble = await source(), None
            except ConfigError as error:
                trouble = str(error)


@contextmanager
def _pressed() -> Iterator[asyncio.Queue[str]]:
    """What is typed, as it is typed: the terminal neither shows nor collects it."""
    typed: asyncio.Queue[str] = asyncio.Queue()
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def read() -> None:
        data = os.read(descriptor, KEY_BYTES)
        typed.put_nowait(data.decode(errors="ignore") if data else "q")

    tty.setcbreak(descriptor)
    running = asyncio.get_running_loop()
    running.add_reader(descriptor, read)
    try:
        yield typed
    finally:
        running.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
