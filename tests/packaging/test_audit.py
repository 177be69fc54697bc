"""`make audit` against advisory databases of our own: clean is only what a database that knows something calls so."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "audit.py"
RUN = (ROOT / "requirements" / "run.txt").read_text()

Answer = Callable[[list[dict[str, Any]]], Any]


def audited(url: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OSV_URL": url, "no_proxy": "*"}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)


@contextmanager
def database(answer: Answer, status: int = 200) -> Iterator[str]:
    """The URL of a database that answers each batch of queries so."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer(queries)).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def knows(**against: list[str]) -> Answer:
    """Advisories by package; those against the proof are always known."""

    def answer(queries: list[dict[str, Any]]) -> Any:
        names = [(query["package"]["name"], query["version"]) for query in queries]
        proof = {("aiohttp", "3.9.0"): ["GHSA-proof"]}
        known = [proof.get(package, against.get(package[0], [])) for package in names]
        return {"results": [{"vulns": [{"id": one} for one in ids]} if ids else {} for ids in known]}

    return answer


def test_that_nothing_is_known_against_any_locked_package_is_0() -> None:
    asked: list[str] = []

    def answer(queries: list[dict[str, Any]]) -> Any:
        asked.extend(f"{query['package']['name']}=={query['version']}" for query in queries)
        return knows()(queries)

    with database(answer) as url:
        ended = audited(url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert set(re.findall(r"^[a-z0-9-]+==[^\s;]+", RUN, re.MULTILINE)) <= set(asked)
    assert f"against 0 of {len(asked) - 1} locked packages" in ended.stdout


def test_what_is_known_is_said_with_its_ids_and_is_1() -> None:
    with database(knows(msgspec=["GHSA-1", "PYSEC-2"])) as url:
        ended = audited(url)
    assert ended.returncode == 1
    assert re.search(r"^msgspec==\S+ \(dev\.txt, run\.txt\): GHSA-1, PYSEC-2$", ended.stdout, re.MULTILINE)


def test_an_answer_in_pages_is_read_to_its_end() -> None:
    def answer(queries: list[dict[str, Any]]) -> Any:
        if any(query["page_token"] for query in queries):
            return {"results": [{"vulns": [{"id": "GHSA-late"}]} for _ in queries]}
        answered = knows()(queries)
        answered["results"][0] = {"next_page_token": "more"}
        return answered

    with database(answer) as url:
        ended = audited(url)
    assert ended.returncode == 1
    assert "GHSA-late" in ended.stdout


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        (lambda _: {}, 503, "503"),
        (lambda _: {}, 200, "results"),
        (lambda _: [], 200, "list"),
        (lambda queries: {"results": ["?"] * len(queries)}, 200, "str"),
        (lambda _: {"results": [{}]}, 200, "1 answers to"),
        (lambda queries: {"results": [{}] * len(queries)}, 200, "it knows nothing against aiohttp==3.9.0"),
        (lambda queries: {"results": [{"next_page_token": "on"}] * len(queries)}, 200, "pages"),
    ],
)
def test_a_database_that_does_not_answer_what_was_asked_is_3(answer: Answer, status: int, why: str) -> None:
    with database(answer, status) as url:
        ended = audited(url)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"audit: NOT AUDITED: {url} could not be asked: ")
    assert why in ended.stderr


def test_that_nobody_can_be_asked_is_3() -> None:
    ended = audited("http://127.0.0.1:1")
    assert ended.returncode == 3
    assert "NOT AUDITED" in ended.stderr
