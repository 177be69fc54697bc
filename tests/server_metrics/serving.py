"""An address that answers /metrics as a test says, over a real socket, and a session with it."""

import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

from aiohttp import web

from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.cost import Cost
from exporter.kubernetes.session import ApiSession, Server
from exporter.vocabulary import Purpose
from tests.support.kubeconfig import kubeconfig


def body(*, started_at: float = 100.0, cpu_seconds: float = 1.0, more: str = "") -> str:
    """What a small apiserver serves."""
    return f"process_start_time_seconds {started_at}\nprocess_cpu_seconds_total {cpu_seconds}\n{more}"


class MetricsServer:
    """`answers` are used up; the last one stays. Each is a body, or a status."""

    def __init__(self, *answers: str | int, headers: dict[str, str] | None = None) -> None:
        self.answers = deque(answers)
        self.asked: list[web.Request] = []
        self.url = ""
        self._headers = headers
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, int):
            return web.json_response({"message": f"no: {answer}"}, status=answer)
        return web.Response(text=answer, headers=self._headers)


class Bill(Cost):
    """What was counted, by purpose."""

    def __init__(self) -> None:
        self.requests: Counter[Purpose] = Counter()
        self.bytes: Counter[Purpose] = Counter()

    def request_sent(self, purpose: Purpose) -> None:
        self.requests[purpose] += 1

    def answer_read(self, purpose: Purpose, size_bytes: int) -> None:
        self.bytes[purpose] += size_bytes


@contextlib.asynccontextmanager
async def session_with(folder: Path, url: str, cost: Cost | None = None) -> AsyncIterator[ApiSession]:
    """Closed at the end."""
    credentials = Credentials(CredentialsSource(kubeconfig(folder, url)))
    await credentials.load()
    session = ApiSession(Server(url, is_one_apiserver=True), credentials, cost=cost)
    try:
        yield session
    finally:
        await session.close()
