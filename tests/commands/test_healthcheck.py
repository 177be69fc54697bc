import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from exporter.config.web_config import read_web_config
from tests.real.certificates import CertificateAuthority
from tests.support.door import FILE, Door


class Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/livez" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Dead(Alive):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()


@contextmanager
def server(handler: type[Alive], tls: ssl.SSLContext | None = None) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), handler) as listening:
        if tls is not None:
            listening.socket = tls.wrap_socket(listening.socket, server_side=True)
        thread = Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listening.server_port
        finally:
            listening.shutdown()
            thread.join()


@contextmanager
def garbage() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

        thread = Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", "localhost"])  # noqa: S104 - a name to ask, nothing is bound
def test_a_live_one_is_ok_wherever_it_listens(door: Door, host: str) -> None:
    with server(Alive) as port:
        answer = door.call("healthcheck", f"--web.listen-address={host}:{port}")
    assert (answer.exit_code, answer.out, answer.err) == (0, "ok\n", "")


def test_the_first_address_is_asked_and_file_and_environment_count(door: Door) -> None:
    with server(Alive) as port, server(Dead) as dead_port:
        FILE.write_text(f"web.listen-address: ['127.0.0.1:{port}', '127.0.0.1:{dead_port}']\n")
        assert door.call("healthcheck", "--config.file", str(FILE)).out == "ok\n"
        assert door.call("healthcheck", WATCHSLO_WEB_LISTEN_ADDRESS=f":{dead_port}").exit_code == 1


def test_another_status_is_not_ok(door: Door) -> None:
    with server(Dead) as port:
        answer = door.call("healthcheck", f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.err) == (1, "")
    assert answer.out == f"http://127.0.0.1:{port}/livez answers with status 503\n"


def test_nobody_there_is_one_sentence(door: Door) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        answer = door.call("healthcheck", f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.err) == (1, "")
    assert answer.out == f"http://127.0.0.1:{port}/livez does not answer: Connection refused\n"


def test_somebody_else_there_is_one_sentence(door: Door) -> None:
    with garbage() as port:
        answer = door.call("healthcheck", f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.err) == (1, "")
    assert answer.out == f"http://127.0.0.1:{port}/livez does not speak HTTP: SSH-2.0-OpenSSH_9.9\n"


def test_silence_is_not_waited_for_long(door: Door) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        answer = door.call("healthcheck", f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.err) == (1, "")
    assert answer.out == f"http://127.0.0.1:{port}/livez does not answer: timed out\n"


@pytest.fixture
def web_config(tmp_path: Path) -> Path:
    """A file that asks for TLS."""
    CertificateAuthority(tmp_path).issue("server", hosts=("elsewhere",), addresses=())
    file = tmp_path / "web.yaml"
    file.write_text("tls_server_config: {cert_file: server.crt, key_file: server.key}\n")
    return file


@pytest.mark.parametrize(
    ("handler", "exit_code", "said"),
    [(Alive, 0, "ok"), (Dead, 1, "https://127.0.0.1:{}/livez answers with status 503")],
)
def test_one_with_tls_is_asked_whatever_its_certificate_names(
    door: Door, web_config: Path, handler: type[Alive], exit_code: int, said: str
) -> None:
    context = read_web_config(web_config).tls_server_config.context(web_config.parent)
    with server(handler, context) as port:
        answer = door.call("healthcheck", "--web.config.file", str(web_config), f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.out, answer.err) == (exit_code, f"{said.format(port)}\n", "")


@pytest.mark.parametrize(("handler", "exit_code"), [(Alive, 0), (Dead, 1)])
@pytest.mark.parametrize("tls", [True, False])
def test_what_stands_in_the_file_at_the_moment_does_not_matter(
    door: Door, web_config: Path, handler: type[Alive], exit_code: int, *, tls: bool
) -> None:
    """The exporter goes on with what it has read before."""
    context = read_web_config(web_config).tls_server_config.context(web_config.parent) if tls else None
    for content in ("{", "", "basic_auth_users: {me: secret}\n", "tls_server_config: {cert_file: gone}\n"):
        web_config.write_text(content)
        with server(handler, context) as port:
            answer = door.call("healthcheck", "--web.config.file", str(web_config), f"--web.listen-address=:{port}")
        assert (answer.exit_code, answer.err) == (exit_code, "")


def test_tls_without_its_file_says_so(door: Door, web_config: Path) -> None:
    context = read_web_config(web_config).tls_server_config.context(web_config.parent)
    with server(Alive, context) as port:
        answer = door.call("healthcheck", f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.err) == (1, "")
    assert answer.out == (
        f"http://127.0.0.1:{port}/livez does not answer, but the port uses TLS: "
        "set --web.config.file to the exporter's file\n"
    )


def test_nobody_there_is_one_sentence_with_tls_too(door: Door, web_config: Path) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        port = unheard.getsockname()[1]
        answer = door.call("healthcheck", "--web.config.file", str(web_config), f"--web.listen-address=:{port}")
    assert (answer.exit_code, answer.err) == (1, "")
    assert answer.out == f"https://127.0.0.1:{port}/livez does not answer: Connection refused\n"


def test_silence_is_not_waited_for_long_with_tls_either(door: Door, web_config: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        answer = door.call("healthcheck", "--web.config.file", str(web_config), f"--web.listen-address=:{port}")
    assert answer.exit_code == 1
    assert answer.out.startswith(f"https://127.0.0.1:{port}/livez does not answer: ")
    assert answer.out.endswith("timed out\n")
