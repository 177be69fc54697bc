"""As many writes as a machine allows, in a process of their own: `python -m tests.live.flood URL TOKEN CA_FILE RATE`.

Annotations of nodes are patched over a few connections, with as little work per write as HTTP permits, until the
process is ended. A write that cannot be sent in its time is sent as soon as a connection is free, and none is made up.
"""

import argparse
import asyncio
import itertools
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.real.api import PATCH_TYPES, ApiClient
from tests.real.cluster import Cluster

CONNECTIONS = 8
PREFIX = "flood"
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "


async def create_objects(client: ApiClient) -> None:
    """One node for each connection, to be patched."""
    for number in range(CONNECTIONS):
        await client.post("/api/v1/nodes", {"metadata": {"name": f"{PREFIX}-{number}"}})


@contextmanager
def flood(cluster: Cluster, rate_per_second: float) -> Iterator[None]:
    """Write in another process, within the block."""
    authority = cluster.folder / "flood.crt"
    authority.write_bytes(cluster.authority.bundle)
    asked = (cluster.apiserver.url, cluster.token(), str(authority), str(rate_per_second))
    with subprocess.Popen([sys.executable, "-m", "tests.live.flood", *asked]) as process:
        try:
            yield
            assert process.poll() is None, "it wrote to the end"
        finally:
            process.kill()


class Flood:
    """Writers that share one rate."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext, rate_per_second: float) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._token = token
        self._context = context
        self._period_seconds = 1 / rate_per_second
        self._next = time.monotonic()

    async def write(self, number: int) -> None:
        """Patch one node again and again, when it is its turn."""
        reader, writer = await asyncio.open_connection(*self._address, ssl=self._context)
        for value in itertools.count():
            due, self._next = self._next, max(self._next, time.monotonic()) + self._period_seconds
            await asyncio.sleep(due - time.monotonic())
            writer.write(self._request(number, value))
            head = (await reader.readuntil(HEAD_END)).lower()
            assert b" 200 " in head.split(b"\r\n")[0], head
            await reader.readexactly(int(head.split(LENGTH)[1].split(b"\r\n")[0]))

    def _request(self, number: int, value: int) -> bytes:
        body = json.dumps({"metadata": {"annotations": {"tests.example.com/note": str(value)}}})
        head = (
            f"PATCH /api/v1/nodes/{PREFIX}-{number} HTTP/1.1",
            f"Host: {self._address[0]}",
            f"Authorization: Bearer {self._token}",
            "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            f"Content-Type: {PATCH_TYPES['merge']}",
            f"Content-Length: {len(body)}",
        )
        return "\r\n".join(head).encode() + HEAD_END + body.encode()


async def main() -> None:
    """Write until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("authority")
    parser.add_argument("rate", type=float)
    asked = parser.parse_args()
    writers = Flood(asked.url, asked.token, ssl.create_default_context(cafile=asked.authority), asked.rate)
    await asyncio.gather(*map(writers.write, range(CONNECTIONS)))


if __name__ == "__main__":
    asyncio.run(main())
