"""An exec plugin in, what it says of who we are out; it, and whatever it started, never longer than we wait for it.

What it prints is a credential, or close to one: whatever goes wrong, none of it is told.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from exporter import descriptors
from exporter.limits import refused_texts
from exporter.wording.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_BYTES = 2**18
"""A certificate with its chain and its key has a few thousand, a token of many groups too."""

ENDING_SECONDS = 2.0
"""So long a plugin that is told to end may tidy up."""

LEFT_OPEN_SECONDS = 0.5
"""So long after its end we wait for the end of its output, which a process that it left behind may keep open."""


class Status(msgspec.Struct, rename="camel"):
    """What a plugin says; each may be missing."""

    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: str | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: Status


async def ask(words: Sequence[str], environment: Mapping[str, str], api_version: str) -> Status:
    """Run it. Raises ValueError or OSError; if that is cancelled, the plugin is ended before."""
    about = {"apiVersion": api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    info = {"KUBERNETES_EXEC_INFO": msgspec.json.encode(about).decode()}
    printed = await _output(words, {**environment, **info})
    try:
        said = msgspec.json.decode(printed, type=_ExecCredential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("exec: the plugin's output is not an ExecCredential") from None
    if said.api_version != api_version:
        raise ValueError(f"exec: the plugin's output does not have the version {quoted(api_version)}")
    return said.status


async def _output(words: Sequence[str], environment: Mapping[str, str]) -> bytes:
    # A pipe of our own: those of asyncio make the end of the process wait for the end of its output.
    receiving, giving = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(receiving, "rb", buffering=0)
    )
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=giving,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
            descriptors.restore_limit(process.pid)
        finally:
            os.close(giving)
        try:
            printed = await _read(reader, process)
        finally:
            await _end(process)
    finally:
        transport.close()
    if process.returncode:
        ended = f"exit status {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        raise ValueError(f"exec: the plugin {quoted(words[0])} ended with {ended}: run it by hand to see why")
    return printed


async def _read(reader: asyncio.StreamReader, process: asyncio.subprocess.Process) -> bytes:
    """What it prints until it ends. Raises ValueError if that is too much."""
    printed = bytearray()

    async def read() -> None:
        while len(printed) <= MOST_BYTES and (piece := await reader.read(MOST_BYTES)):
            printed.extend(piece)

    reading, ending = asyncio.create_task(read()), asyncio.create_task(process.wait())
    try:
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        if len(printed) <= MOST_BYTES:
            await ending
            await asyncio.wait({reading}, timeout=LEFT_OPEN_SECONDS)
    finally:
        reading.cancel()
        ending.cancel()
    if len(printed) > MOST_BYTES:
        refused_texts.count("credentials")
        raise ValueError(f"exec: the plugin printed more than {MOST_BYTES} bytes")
    return bytes(printed)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it with its process group, unless it has ended by itself: then what it left behind was meant to stay."""
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), ENDING_SECONDS)
    finally:
        _signal(process, signal.SIGKILL)
    await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
