"""What people install is the wheel: built here, put into an empty environment, and run."""

import json
import signal
import subprocess
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest

LONGEST_WAIT_SECONDS = 60


def judged_on_time(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/v1/status") as answer:  # noqa: S310 a URL that the demo printed
        streams = json.load(answer)["streams"]
    return min((stream["on_time"] for stream in streams), default=0) if len(streams) == 3 else 0


@pytest.mark.timeout(300)
def test_the_wheel_in_an_empty_environment_runs_the_demo(wheel: Path, installed_watchslo: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"exporter"}

    words = [str(installed_watchslo), "demo", "--web.listen-address", "127.0.0.1:0"]
    # Run where nothing of the checkout is on the path.
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        url = demo.stdout.readline().split()[2].rstrip("/")
        until = time.monotonic() + LONGEST_WAIT_SECONDS
        while judged_on_time(url) < 50:
            assert time.monotonic() < until, "pods, nodes and widgets should all be judged on time"
            time.sleep(0.5)
        demo.send_signal(signal.SIGINT)
        shown = demo.stdout.read()
        assert demo.wait(timeout=20) == 0
    assert "scenario healthy" in shown
    version = subprocess.run([str(installed_watchslo), "version"], check=True, capture_output=True, text=True).stdout
    assert version.startswith("watchslo 0.1.0 ")
