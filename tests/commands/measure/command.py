"""`watchslo measure` as a load test calls it: words in, exit code, stdout and stderr out."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

LIMIT_SECONDS = 100


@dataclass(frozen=True)
class Ended:
    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    def stream(self, resource: str) -> Any:
        (found,) = (stream for stream in self.document["streams"] if stream["resource"] == resource)
        return found


class Running:
    """`async with Running(...) as running: ...; await running.ended()`; it is killed on exit if it still runs."""

    def __init__(self, *words: str | Path, command: str = "measure", stdin: int = asyncio.subprocess.DEVNULL) -> None:
        self._words = [sys.executable, "-m", "exporter", command, *map(str, words)]
        self._stdin = stdin

    async def __aenter__(self) -> Self:
        environ = {name: text for name, text in os.environ.items() if not name.startswith("WATCHSLO_")}
        self._process = await asyncio.create_subprocess_exec(
            *self._words,
            stdin=self._stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def says(self, text: str) -> None:
        """Wait for a line of stderr with this in it."""
        assert self._process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            while text not in (line := (await self._process.stderr.readline()).decode()):
                assert line, f"it ended without saying {text!r}"

    def interrupt(self) -> None:
        """As Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    async def ended(self) -> Ended:
        """What it ended with."""
        async with asyncio.timeout(LIMIT_SECONDS):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Ended(self._process.returncode, out.decode(), err.decode())


async def measure(*words: str | Path) -> Ended:
    """Runs it to its end."""
    async with Running(*words) as running:
        return await running.ended()
