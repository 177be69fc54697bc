"""`watchslo demo` and its page in a browser: what people see of each scenario, and the buttons that choose one."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.browser import Tab

PATIENCE_SECONDS = 100
NAMES = "pods, nodes and widgets"
LOG = "document.getElementById('log').innerText"
SENTENCE = "document.getElementById('sentence').innerText"
LIVE = "document.body.dataset.live === 'yes'"
PODS = "[...document.querySelectorAll('#rows > li')].find((row) => row.querySelector('.name b').innerText === 'pods')"


def says(words: str, where: str = SENTENCE) -> str:
    return f"/{words}/s.test({where})"


SEEN = {
    "healthy": says(f"All watches are on time: {NAMES} on"),
    "slow-apiserver": says(f"Watches of {NAMES} are certainly late on .* since"),
    "cache-behind": says("Watches of pods are certainly late on .* with a P99 of at least [23]"),
    "cache-stuck": says("Watches of nodes are certainly late"),
    "slow-network": says(f"Watches of {NAMES} are certainly late on"),
    "connection-dropped": says("Watches of nodes are certainly late"),
    "forced-close": says(f"Watches of {NAMES} on .* have been closed by force again and again since"),
    "relist": says("relist, as the history .* was gone .gone.", LOG),
    "restart": says(f"No watch of {NAMES} is open on .*: the apiserver cannot be reached .connect."),
    "etcd-freeze": says("etcd does not answer", "document.getElementById('scenario').innerText"),
    "slow-admission": says("writes take 3 s", "document.getElementById('scenario').innerText"),
    "write-storm": f"Number({PODS}.querySelector('.rate .figure').innerText) > 80",
    "throttled": says(f"No watch of {NAMES} is open on .*: .* .throttled."),
    "forbidden": says("No watch of pods is open on .*: this exporter is not permitted to watch .forbidden."),
}
"""What the page shows while there is this trouble; lines of the sentence are one."""


class Demo(NamedTuple):
    """`watchslo demo`, and where its page is."""

    url: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def started(window: str) -> Iterator[Demo]:
    """A demo with a window of so many seconds."""
    words = [sys.executable, "-m", "exporter", "demo", "--web.listen-address", "127.0.0.1:0", "--slo.window", window]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[2]
            # What a pipe holds is written in ten minutes; then the demo would wait for a reader.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield Demo(url, process)
        finally:
            process.terminate()


async def healthy(tab: Tab, demo: Demo) -> None:
    await tab.go(demo.url)
    await tab.until(SEEN["healthy"], PATIENCE_SECONDS)


async def choose(tab: Tab, name: str) -> None:
    """Press its button, as people do."""
    await tab.ask(f"document.querySelector('button[value=\"{name}\"]').click()")
    await tab.until(f"document.querySelector('button[value=\"{name}\"][aria-pressed=true]') !== null")
