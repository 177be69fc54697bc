"""`watchslo audit` as a person calls it."""

import gzip
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exporter.commands.audit.files import PIECE_BYTES
from tests.audit.lines import Json, event, in_order, lines, listed, moment, watched, wrote
from tests.audit.shapes import SHAPES, event_list
from tests.commands.test_terminal import in_terminal, never, too_wide
from tests.support.door import Door

STORM = [one for at in range(200) for one in listed("resourceVersion=0", at=at, lasts=0.5, user="storm")]
RELIST = [
    *watched("timeoutSeconds=400&resourceVersion=5", at=1, lasts=60, user="informer"),
    *watched("timeoutSeconds=400&resourceVersion=6", at=62, lasts=0.01, user="informer"),
    *listed("resourceVersion=6", at=63, user="informer"),
    *watched("timeoutSeconds=400&resourceVersion=7", at=64, lasts=None, user="informer"),
]
FIGHT = [one for at in range(40) for one in wrote("web", at=at, user=("red", "blue")[at % 2])]
ALL = in_order([*STORM, *RELIST, *FIGHT])
AUDIT_LOG = Path("audit.log")
ESC = "\x1b"


def document(door: Door, *words: str) -> Json:
    answer = door.call("audit", *words, "--output", "json")
    assert (answer.exit_code, answer.err) == (0, "")
    found: Json = json.loads(answer.out)
    return found


def test_the_table_says_who_it_was_and_what_would_help(door: Door) -> None:
    AUDIT_LOG.write_bytes(lines(ALL))
    answer = door.call("audit", str(AUDIT_LOG))
    assert (answer.exit_code, answer.err) == (0, "")
    said = {" ".join(line.split()) for line in answer.out.splitlines()}
    assert f"{len(ALL)} events from {moment(0)[:19]}Z to {moment(199)[:19]}Z: 100.4 server seconds of 4 clients" in said
    assert "storm a-controller/v1 (linux/amd64) 100.0 100 % 0.5 200 200 0 0 0 0 0" in said
    assert "storm (a-controller/v1) pods 100.0 cache 200 1, one of 200 LISTs, every 1.0 s" in said
    assert "informer (a-controller/v1) pods resumed 3 60.0 s (early, 1 times), 0.0 s (gone, 1 times) 1 gone 1 0" in said
    assert "deployments.apps default/web blue (a-controller/v1) and red (a-controller/v1) 38 1.0 s" in said
    assert "storm (a-controller/v1):" in said
    assert any(line.startswith("- informer: it lists again and again") for line in said)
    assert any("apiserver_request_total" in line for line in said)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_each_shape_and_gzip_say_the_same(door: Door, shape: object) -> None:
    assert callable(shape)
    AUDIT_LOG.write_bytes(lines(ALL))
    plain = document(door, str(AUDIT_LOG))
    text = shape(ALL)
    Path("shaped.gz").write_bytes(gzip.compress(text[:5000]) + gzip.compress(text[5000:]))
    assert document(door, "shaped.gz") == plain
    assert plain["clients"][0]["user"] == "storm"
    assert plain["in_turns"][0]["writers"][0]["user"] == "blue"


def test_the_logs_of_several_apiservers_are_one_sequence(door: Door) -> None:
    AUDIT_LOG.write_bytes(lines(ALL))
    whole = document(door, str(AUDIT_LOG))
    for number in range(3):
        Path(f"{number}.log").write_bytes(lines(ALL[number::3]))
    assert document(door, "2.log", "0.log", "1.log") == whole
    twice = document(door, str(AUDIT_LOG), "0.log")
    assert (twice["clients"], twice["repeated"]) == (whole["clients"], len(ALL[::3]))


def test_only_the_time_that_was_asked_for_is_counted(door: Door) -> None:
    AUDIT_LOG.write_bytes(lines(ALL))
    found = document(door, str(AUDIT_LOG), "--since", moment(100), f"--until={moment(110)}")
    assert found["requests"] == {"list": 10}
    nothing = door.refusal("audit", str(AUDIT_LOG), "--since", moment(5000))
    assert nothing == "there are no audit events of that time in audit.log"
    assert door.call("audit", str(AUDIT_LOG), WATCHSLO_SINCE=moment(5000)).exit_code == 2


def test_a_page_shows_the_same_and_runs_nothing(door: Door) -> None:
    evil = listed(at=0, user="<script>alert(1)</script>", agent='"><img src=x onerror=alert(1)>')
    AUDIT_LOG.write_bytes(lines([*ALL, *evil]))
    answer = door.call("audit", str(AUDIT_LOG), "--output=html")
    assert answer.exit_code == 0
    assert answer.out.startswith("<!doctype html>")
    assert "<td>storm</td>" in answer.out
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.out
    assert "<script" not in answer.out
    assert "<img" not in answer.out


def test_no_text_of_a_client_reaches_the_terminal_as_a_command(door: Door) -> None:
    evil = [
        event(
            "list",
            "/x",
            at=0,
            ref={"resource": f"{ESC}[4mpods"},
            user=f"{ESC}[2Juser",
            agent=f"{ESC}]0;title\x07" * 50_000,
            pod=(f"{ESC}[1m", "uid"),
        ),
        *listed(f"fieldSelector={ESC}[31m%1B[31m%3D1", at=1),
        *[one for at in range(30) for one in wrote(f"{ESC}[5mweb\n\u202e", at=at, user="ab"[at % 2], agent="x\r\ny z")],
    ]
    AUDIT_LOG.write_bytes(lines(evil))
    out = door.call("audit", str(AUDIT_LOG)).out
    assert ESC not in out
    assert all(character.isprintable() or character == "\n" for character in out)
    assert "\\x1b[2Juser" in out
    assert len(out) < 20_000


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "there are no audit events in audit.log"),
        (b"no log at all\n" * 1000, "there are no audit events in audit.log"),
        (b"\0" * 100_000, "there are no audit events in audit.log"),
        (b"\x1f\x8bbroken", 'cannot read "audit.log": its gzip compression is broken'),
        (gzip.compress(lines(ALL)) + b"trailing", 'cannot read "audit.log": its gzip compression is broken'),
        (gzip.compress(bytes(1 << 26)), "there are no audit events in audit.log"),
    ],
    ids=["empty", "text", "zeros", "no gzip", "half gzip", "bomb"],
)
def test_what_is_no_log_gets_one_sentence(door: Door, content: bytes, sentence: str) -> None:
    AUDIT_LOG.write_bytes(content)
    assert door.refusal("audit", str(AUDIT_LOG)) == sentence


def test_a_compressed_log_that_is_still_written_is_read_as_far_as_it_goes(door: Door) -> None:
    AUDIT_LOG.write_bytes(gzip.compress(lines(ALL))[:-40])
    answer = door.call("audit", str(AUDIT_LOG), "--output=json")
    assert answer.exit_code == 0
    assert "the compression of audit.log ends before its end" in answer.err
    assert 0 < json.loads(answer.out)["events"] <= len(ALL)


def test_standard_input_is_a_log_too(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(event_list(ALL))))
    assert document(door, "-")["events"] == len(ALL)


def test_it_is_as_wide_as_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(lines(ALL))
    said = in_terminal("audit", log, ended=never)
    assert "storm" in said
    assert too_wide(said) == []


BIG_BYTES = 300 * PIECE_BYTES


def test_memory_does_not_grow_with_the_file_and_progress_is_shown(tmp_path: Path) -> None:
    # Nobody has so many requests of one moment; what matters is how many bytes there are, in the shape that is hardest.
    items = event_list(ALL)[1:-1].partition(b"[")[2][:-1]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def write() -> None:
        with fifo.open("wb") as file:
            file.write(b'{"kind":"EventList","items":[' + items)
            for _ in range(BIG_BYTES // len(items)):
                file.write(b"," + items)
            file.write(b"]}")

    writer = threading.Thread(target=write)
    writer.start()
    code = (
        "import re, sys; from exporter.cli import main; code = main(sys.argv[1:]);"
        # Not getrusage's: that keeps what the process had before exec, which is the size of the tests' own.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "audit", str(fifo), "--output=json"], capture_output=True, text=True, check=True
    )
    writer.join()
    *_, kilobytes = ended.stderr.splitlines()
    assert json.loads(ended.stdout)["events"] == len(ALL)
    assert int(kilobytes) < 150_000
