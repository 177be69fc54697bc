"""`watchslo why` against a running exporter, and against what is none."""

import asyncio
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from exporter import cli
from exporter.diagnosis.document import document
from exporter.diagnosis.remedies import steps
from exporter.diagnosis.tracking import Tracker
from exporter.simulator import Simulator, Workload
from tests.diagnosis.cases import CASES, causes
from tests.real.certificates import CertificateAuthority
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import observed
from tests.web.passwords import HASH, PASSWORD


async def why(*words: str) -> int:
    """The exit code; beside the event loop, in which the exporter runs."""
    return await asyncio.to_thread(cli.main, ["why", *words])


async def test_a_running_exporter_is_asked_what_it_finds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=20):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods", "--resource", "nodes")
        async with observed(*flags) as exporter:
            await exporter.wait_for(lambda scrape: scrape.sum("stream_up") == 2)
            assert await why("--url", exporter.url) == 0
            assert capsys.readouterr().out == "No fault is found.\n"
            simulator.faults.deny("watch", "nodes")
            simulator.apiservers[0].cut_watches()
            await exporter.wait_for(
                lambda scrape: (
                    1.0 in scrape.values("fault", fault="exporter_refused", certainty="shown", resource="nodes")
                )
            )
            assert await why("--url", exporter.url) == 1
            first, *others = capsys.readouterr().out.splitlines()
            assert first.startswith("This exporter may not watch nodes on 127.0.0.1:")
            assert any("it has no permission (403)" in line for line in others)
            assert await why("--url", exporter.url, "--output", "json") == 1
            document = json.loads(capsys.readouterr().out)
            assert document["version"] == 1
            assert document["findings"][0]["fault"] == "exporter_refused"


async def test_without_an_address_it_watches_itself(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=20):
        simulator.faults.deny("watch", "nodes")
        flags = ("--kubeconfig", str(kubeconfig(tmp_path, simulator.url)), "--resource", "nodes", "--duration", "10")
        command = (sys.executable, "-m", "exporter", "why", *flags)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
    assert process.returncode == 1
    assert b"This exporter may not watch nodes" in said


class SomethingElse(HTTPServer):
    """Answers whatever is asked with the same bytes."""

    body = b"<html>\x1b[31m"


@pytest.fixture
def something_else() -> Iterator[SomethingElse]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *_: object) -> None: ...

    with SomethingElse(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_what_is_no_exporter_gets_one_sentence(
    something_else: SomethingElse, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{something_else.server_port}"
    assert cli.main(["why", "--url", url]) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    assert answer.err == (
        f"watchslo: error: --url: {url}/api/v1/diagnosis does not answer with a diagnosis of watchslo\n"
    )


def test_a_line_is_printed_whole(something_else: SomethingElse, capsys: pytest.CaptureFixture[str]) -> None:
    (cause,) = causes(CASES["unknown_cause"][0])
    tracker = Tracker()
    for now in (100.0, 120.0):
        tracker.update(now, [cause._replace(says=cause.says + " and more" * 50)], {})
    something_else.body = json.dumps(document(tracker.named)).encode()
    assert cli.main(["why", "--url", f"http://127.0.0.1:{something_else.server_port}"]) == 3
    first, *others = capsys.readouterr().out.splitlines()
    assert first.count(" and more") == 50
    do, *then = steps("unknown_cause")
    assert [line.strip() for line in others[-4:-1]] == [f"what to do: {do}", *(f"then: {step}" for step in then)]


SERVED = """
tls_server_config: {cert_file: server.crt, key_file: server.key}
basic_auth_users: {me: HASH}
"""


async def test_an_exporter_behind_tls_and_passwords_is_asked_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = CertificateAuthority(tmp_path)
    authority.issue("server", hosts=("watchslo.example.com",), addresses=())
    (tmp_path / "ca.crt").write_bytes(authority.bundle)
    (tmp_path / "web.yaml").write_text(SERVED.replace("HASH", HASH))
    login = tmp_path / "login.yaml"
    tls = "tls_config: {ca_file: ca.crt, server_name: watchslo.example.com}\n"
    async with Simulator() as simulator, Workload(simulator, rate_per_second=20):
        flags = ("--kubeconfig", kubeconfig(tmp_path, simulator.url), "--resource", "pods")
        async with observed(*flags, "--web.config.file", tmp_path / "web.yaml", ready=False) as exporter:
            asked = ("--url", exporter.url.replace("http", "https"), "--http.config.file", str(login))
            login.write_text(f"{tls}basic_auth: {{username: me, password: {PASSWORD}}}")
            assert await why(*asked) == 0
            assert capsys.readouterr().out == "No fault is found.\n"
            assert await asyncio.to_thread(cli.main, ["top", *asked]) == 0
            assert "pods" in capsys.readouterr().out
            for said, words in (
                (tls, "answers with status 401: a password or token is needed: --http.config.file"),
                (f"{tls}basic_auth: {{username: me, password: wrong}}", "answers with status 401"),
                (tls.replace(", server_name: watchslo.example.com", ""), "does not answer: "),
                ("tls_config: {server_name: watchslo.example.com}", "does not answer: "),
            ):
                login.write_text(said)
                assert await why(*asked) == 2
                error = capsys.readouterr().err
                assert words in error
                assert error.count("\n") == 1


def test_a_secret_is_not_told_where_others_read_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    login = tmp_path / "login.yaml"
    login.write_text("authorization: {credentials: hidden}")
    assert cli.main(["why", "--url", "http://watchslo.example.com:9985", "--http.config.file", str(login)]) == 2
    assert "others on the way can read: use https://" in capsys.readouterr().err
    assert cli.main(["why", "--url", "http://localhost:1", "--http.config.file", str(login)]) == 2
    assert "does not answer" in capsys.readouterr().err


def test_where_nothing_listens_the_reason_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["why", "--url", "http://127.0.0.1:1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("watchslo: error: --url: http://127.0.0.1:1 does not answer: ")
    assert error.count("\n") == 1
