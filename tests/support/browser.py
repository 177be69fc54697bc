"""A real Chromium, driven by its DevTools protocol: what it shows, what it complains of, and pictures of it."""

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.waiting import wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")

SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.shifts.push(one.value);
}).observe({ type: "layout-shift", buffered: true });
"""


@dataclass
class Tab:
    """One page in it."""

    socket: aiohttp.ClientWebSocketResponse
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings in the console, exceptions, and what the Content-Security-Policy forbids."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _answers: dict[int, "asyncio.Future[dict[str, Any]]"] = field(default_factory=dict)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(30):
            result: dict[str, Any] = await answer
        return result

    async def listen(self) -> None:
        """Until the tab is closed."""
        async for message in self.socket:
            said = json.loads(message.data)
            if "id" in said:
                assert "error" not in said, said
                self._answers.pop(said["id"]).set_result(said["result"])
            elif said["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(str(said["params"]["entry"]))
            elif said["method"] == "Runtime.consoleAPICalled" and said["params"]["type"] in {"error", "warning"}:
                self.complaints.append(str(said["params"]["args"]))

    async def look(self, width: int = 1280, height: int = 900, *, dark: bool = False, scripts: bool = True) -> None:
        """How it is looked at from the next navigation on."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        await self.call("Emulation.setDeviceMetricsOverride", **metrics)
        theme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=theme)
        await self.call("Emulation.setScriptExecutionDisabled", value=not scripts)

    async def go(self, url: str) -> None:
        """Open an address, and wait until it is there."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def ask(self, expression: str) -> Any:
        """The value of an expression of JavaScript."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 60.0) -> None:
        """Wait until it is true."""

        async def is_so() -> bool:
            # Between two pages there is nothing to ask.
            return bool(await self.ask(f"(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()"))

        await wait_until(is_so, expression, timeout_seconds=seconds)

    async def press(self, key: str) -> None:
        """One key, as from a keyboard."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Tab": 9, "Enter": 13, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more)

    async def picture(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the page."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(answer["data"]))


@contextlib.asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Tab]:
    """Started with an empty profile in `folder`, with one tab; gone on exit."""
    assert CHROMIUM is not None
    flags = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *flags,
        "--no-first-run",
        "--disable-background-networking",
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                [url] = [one["webSocketDebuggerUrl"] for one in await answer.json() if one["type"] == "page"]
            async with http.ws_connect(url, max_msg_size=0) as socket:
                tab = Tab(socket)
                listening = asyncio.create_task(tab.listen())
                for domain in ("Page", "Runtime", "Log"):
                    await tab.call(f"{domain}.enable")
                await tab.call("Page.addScriptToEvaluateOnNewDocument", source=SHIFTS)
                yield tab
                listening.cancel()
    finally:
        process.terminate()
        await process.wait()


async def _port(path: Path) -> int:
    def said() -> list[str]:
        return path.read_text(encoding="utf-8").split() if path.exists() else []

    await wait_until(lambda: bool(said()), "Chromium listens", timeout_seconds=60)
    return int(said()[0])
