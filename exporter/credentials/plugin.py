"""Runs an exec plugin and reads its ExecCredential. The plugin's process group never outlives the time limit.

Its output contains credentials, so no part of it appears in error messages.
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
"""A certificate with its chain and key has a few thousand bytes, as has a token with many groups."""

ENDING_SECONDS = 2.0
"""Time between SIGTERM and SIGKILL."""

LEFT_OPEN_SECONDS = 0.5
"""How long to wait for the end of the output after the plugin has ended: a child process may keep the pipe open."""


class Status(msgspec.Struct, rename="camel"):
    """The status of an ExecCredential; each field may be missing."""

    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: str | None = None


class _ExecCredential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: Status


async def ask(words: Sequence[str], environment: Mapping[str, str], api_version: str) -> Status:
    """Run the plugin. Raises ValueError or OSError. On cancellation the plugin is terminated first."""
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
    # A pipe of our own: with those of asyncio, waiting for the process also waits for the end of its output.
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
    """The output until the plugin ends. Raises ValueError if it is too long."""
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
    """Terminate the process group, unless the plugin has ended by itself: then its children may stay."""
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
