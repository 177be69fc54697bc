"""What is fuzzed: for each target real inputs, words that mean something to it, and the laws that hold for any bytes.

A law that does not hold is an AssertionError; whatever else is raised was not promised either. The working directory is
an empty folder of the run's own.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime, formatdate
from itertools import permutations
from pathlib import Path

import aiohttp
import msgspec
import yaml

from exporter.audit.counting import Audit
from exporter.audit.reading import EventReader
from exporter.audit.report import Report, report_of
from exporter.commands.audit import table as audit_table
from exporter.commands.audit.page import page as audit_page
from exporter.config import SETTINGS, ConfigError, flag_parser, load, read_flags
from exporter.config.web_config import read_web_config
from exporter.kubernetes.answer import AnswerReader
from exporter.kubernetes.chunked import LONGEST_SIZE_LINE_BYTES, ChunkedBody, ChunkedBodyError
from exporter.kubernetes.event_counter import EventCounter, NotAWatchError, WatchRefusedError
from exporter.kubernetes.list_counter import MOST_ENVELOPE_BYTES, CountedList, ListCounter, NotAListError
from exporter.kubernetes.session import http_date
from exporter.measure.events import Event, EventDecoder, LineSplitter, Undecodable, WatchError, revision_of
from exporter.measure.write_times import apiserver_stamps, parse_annotation, parse_rfc3339, renewed_at
from exporter.server_metrics.between import ServerReading, between
from exporter.server_metrics.families import SAMPLES
from exporter.server_metrics.text import MOST_LINE_BYTES, Numbers, TextParser
from tests.audit.lines import event, listed, watched, wrote
from tests.audit.lines import lines as audit_lines
from tests.audit.shapes import SHAPES, gke, pretty_array
from tests.fuzz.mutation import cuts
from tests.speed.recording import METADATA_JSON, PODS_JSON, recorded

ANNOTATION = "checksum/config"
LAST_TIME = 253_402_400_000.0
"""A day after the last that a year of four digits has, for zones."""

LONGEST_SENTENCE = 4096
LONGEST_AUDIT_EVENT = 2000

ERROR = (
    b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too many '
    b'requests","reason":"TooManyRequests","details":{"retryAfterSeconds":7},"code":429}}\n'
)
BOOKMARK = (
    b'{"type":"BOOKMARK","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":'
    b'{"resourceVersion":"1000000201","creationTimestamp":null,"annotations":{"k8s.io/initial-events-end":"true"}}}}\n'
)
LEASE = (
    b'{"type":"MODIFIED","object":{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"apiserver-x",'
    b'"namespace":"kube-system","uid":"c0b2","resourceVersion":"1000000202","creationTimestamp":"2026-11-22T22:09:59Z",'
    b'"labels":{"apiserver.kubernetes.io/identity":"kube-apiserver"},"managedFields":[{"manager":"kube-apiserver","time":'
    b'"2026-11-22T22:10:09Z"}]},"spec":{"holderIdentity":"x","renewTime":"2026-11-22T22:10:09.123456Z"}}}\n'
)


LIST = (
    b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":3},'
    b'"items":[{"metadata":{"name":"a","managedFields":[{"fieldsV1":{"f:spec":{"k:{\\"name\\":\\"x\\"}":{".":{}}}}}]}},'
    b'{"metadata":{"name":"}]\\\\"},"spec":{"containers":[{},{"env":[]}]}},{"metadata":{"name":"c"}}]}\n'
)
SORTED_LIST = b'{"apiVersion":"v1","items":[{"a":[[],{}]},{"b":"{"}],"kind":"WidgetList","metadata":{"continue":""}}\n'
"""As of a custom resource."""

METRICS_TEXT = rb"""# HELP process_start_time_seconds [STABLE] Start time of the process since unix epoch in seconds.
process_start_time_seconds 1.79591783137e+09
go_sched_latencies_seconds_bucket{le="6.399999999999999e-08"} 1161
go_sched_latencies_seconds_bucket{le="+Inf"} 6696
go_sched_latencies_seconds_sum 0.25436665599999997
apiserver_longrunning_requests{component="apiserver",group="",resource="pods",verb="WATCH",version="v1"} 3
apiserver_request_total{code="409",component="apiserver",dry_run="",group="",resource="pods",verb="PUT",version="v1"} 7
etcd_request_duration_seconds_bucket{group="",operation="get",resource="pods",le="0.005"} 42
etcd_request_duration_seconds_bucket{group="",operation="get",resource="pods",le="+Inf"} 44
etcd_request_duration_seconds_bucket{instance="127.0.0.1:6443",le="+Inf",operation="get"} 44 1795917831370
apiserver_watch_events_dispatch_duration_seconds_sum{group="apps",resource="deployments",stage="total"} 0.5
apiserver_admission_webhook_admission_duration_seconds_count{name="a\"b\\c\n",type="validating"} 20
apiserver_watch_cache_resource_version{resource="/minions"} 255
"""
"""As kube-apiserver 1.37 writes it, and a Prometheus."""


@dataclass(frozen=True)
class Target:
    """One thing that takes bytes from elsewhere."""

    name: str
    inputs: Sequence[bytes]
    words: Sequence[bytes]
    check: Callable[[bytes, int], None]
    """Raises for an input that breaks a law; the number decides what is at random besides."""
    most_bytes: int = 4096


def short_lines() -> list[bytes]:
    """Beginnings of recorded lines: long enough to be cut anywhere, short enough for a million of them."""
    return [line[:120] + b"\n" for line in recorded(METADATA_JSON)[:50]]


def lines() -> list[bytes]:
    """A watch as an apiserver sends it."""
    return [*recorded(METADATA_JSON)[:60], *recorded(PODS_JSON)[:20], *[ERROR, BOOKMARK, LEASE] * 20]


def audit_logs() -> list[bytes]:
    """Each shape of a few requests."""
    some = [
        *listed("limit=500&resourceVersion=0", at=0, pod=("a", "b")),
        *watched("resourceVersion=7&timeoutSeconds=300", at=1, lasts=300),
    ]
    more = [
        *wrote("web", at=2, code=409),
        event("get", "/api", at=3, ref={}, annotations={"apiserver.latency.k8s.io/etcd": "1m2.5s"}),
    ]
    entry = gke("io.k8s.core.v1.pods.list", "core/v1/namespaces/a/pods", "2026-11-29T02:00:00.123456789Z")
    shaped = [shape(events) for shape in SHAPES for events in (some, more, some[:1])]
    return [*shaped, pretty_array([entry]), audit_lines([entry, entry])]


def chunks(content: Sequence[bytes]) -> bytes:
    """In chunked transfer coding, without the last chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in content)


def check_splitter(data: bytes, number: int) -> None:
    """Any cut gives the same lines, none is lost unsaid, and no more is kept than the longest line has."""
    longest = (16, 200, 1000)[number % 3]
    splitter = LineSplitter(longest)
    got: list[bytes] = []
    overlong = 0
    for piece in cuts(data, number):
        complete, thrown_away = splitter.feed(piece)
        got += complete
        overlong += thrown_away
        assert splitter.unfinished_bytes <= longest
    *whole, rest = data.split(b"\n")
    assert got == [line for line in whole if 0 < len(line) <= longest]
    assert overlong == sum(len(line) > longest for line in [*whole, rest])


def check_metrics_text(data: bytes, number: int) -> None:
    """Any cut of an apiserver's metrics gives the same numbers, all of them finite, and no more is kept than a line."""

    def read(pieces: Sequence[bytes]) -> Numbers:
        parser = TextParser()
        for piece in pieces:
            parser.feed(piece)
            assert len(parser._rest) <= MOST_LINE_BYTES + 2
        return parser.finish()

    numbers = read([data])
    assert read(cuts(data, number)) == numbers
    kept = [list(of_fact.values()) for of_fact in numbers.values.values()]
    kept += [list(of_key) for of_fact in numbers.histograms.values() for of_key in of_fact.values()]
    assert all(math.isfinite(value) for values in kept for value in values)
    series = sum(map(len, numbers.values.values())) + sum(map(len, numbers.histograms.values()))
    assert numbers.series == series
    assert between(ServerReading(0.0, Numbers()), ServerReading(1.0, numbers)).seconds == 1.0


def fed(pieces: Sequence[bytes]) -> tuple[bytes, bool, bool]:
    """The content of a chunked body, whether it was refused, and whether it is over."""
    body = ChunkedBody()
    content = b""
    for piece in pieces:
        try:
            content += b"".join(body.feed(piece))
        except ChunkedBodyError as error:
            check_sentence(error)
            return content, True, body.is_over
        assert len(body._size_line) <= LONGEST_SIZE_LINE_BYTES + 1  # the first half of the line's end
    return content, False, body.is_over


def check_chunks(data: bytes, number: int) -> None:
    """Any cut gives the same content and the same end; what is refused may be refused with the piece that it is in."""
    bytewise, refused, is_over = fed([data[at : at + 1] for at in range(len(data))])
    for pieces in ([data], cuts(data, number)):
        content, refused_too, is_over_too = fed(pieces)
        assert (refused_too, is_over_too) == (refused, is_over)
        assert bytewise.startswith(content) if refused else content == bytewise
    assert len(bytewise) <= len(data)


def answered(pieces: Sequence[bytes]) -> object:
    """What an answer says, and whether its connection is kept; None if it is refused."""
    reader = AnswerReader(1000, 200)
    try:
        for piece in pieces:
            reader.feed(piece)
            assert len(reader.body) <= 200
    except aiohttp.ClientError:
        return None
    return reader.status, reader.headers, bytes(reader.body), reader.is_over, reader.is_over and reader.is_kept


def check_answer(data: bytes, number: int) -> None:
    """Any cut gives the same answer, or none."""
    assert answered([data]) == answered(cuts(data, number)) == answered([data[at : at + 1] for at in range(len(data))])


def check_stream(data: bytes, number: int) -> None:
    """Any cut of a body gives the same events, errors and lines that are none."""

    def decoded(pieces: Sequence[bytes]) -> list[object]:
        body, splitter = ChunkedBody(), LineSplitter()
        found: list[object] = []
        for piece in pieces:
            try:
                content = body.feed(piece)
            except ChunkedBodyError:
                break
            found += [DECODER.decode(line) for part in content for line in splitter.feed(part)[0]]
        return found

    # What is refused may be refused with all that came in its piece: what was said before it is a beginning.
    one, other = sorted((decoded([data]), decoded(cuts(data, number))), key=len)
    assert other[: len(one)] == one
    if not fed([data])[1]:
        assert one == other


DECODER, ANNOTATED = EventDecoder(), EventDecoder(ANNOTATION)


def check_decoder(line: bytes, _: int) -> None:
    """Whatever comes is answered by a value, and what it says is usable."""
    line = line.replace(b"\n", b" ")
    for decode in (DECODER.decode, ANNOTATED.decode, DECODER.decode_lease, ANNOTATED.decode_pod, DECODER.decode_pull):
        decoded = decode(line)
        match decoded:
            case Event():
                assert decoded.event_type in {"added", "modified", "deleted", "bookmark"}
                assert decoded.revision is None or 0 <= decoded.revision < 10**20
                assert all(math.isfinite(stamp.time) for stamp in apiserver_stamps(decoded.stamps))
                check_time(parse_annotation(decoded.annotation or ""))
                check_time(renewed_at(decoded.lease) if decoded.lease is not None else None)
            case WatchError():
                wait = decoded.retry_after_seconds
                assert wait is None or (math.isfinite(wait) and wait >= 0)
            case _:
                assert isinstance(decoded, Undecodable)
                assert decoded.reason


def check_time(time: float | None) -> None:
    """A time that a clock may show, or none."""
    assert time is None or (math.isfinite(time) and abs(time) <= LAST_TIME)


def check_date(data: bytes, _: int) -> None:
    """A Date is the second that it says, or is none. (Which weekday that was is not asked.)"""
    text = data.decode("utf-8", "surrogateescape")  # as aiohttp decodes headers
    time = http_date(text)
    check_time(time)
    if time is not None:
        assert format_datetime(datetime.fromtimestamp(time, UTC), usegmt=True)[5:] == text[5:]


UNIX = re.compile(r"[0-9]+(\.[0-9]+)?")


def check_stamp(data: bytes, _: int) -> None:
    """A time is one that a clock may show, of a text that is short; a Unix time is never after what is written."""
    text = data.decode(errors="replace")
    check_time(parse_rfc3339(text))
    time = parse_annotation(text)
    check_time(time)
    if len(text) > 64:
        assert time is None
        assert parse_rfc3339(text) is None
    elif time is not None and UNIX.fullmatch(text.strip()):
        written = Decimal(text.strip())
        late = Decimal("1e-15") * written  # as a float rounds
        assert any(-late <= written - Decimal(time) * unit <= unit + late for unit in (1, 10**3, 10**6, 10**9))
    revision = revision_of(text)
    assert revision is None or 0 <= revision < 10**20


def check_sentence(error: Exception) -> None:
    """For people: one line that a terminal shows as it is, and not without end."""
    text = str(error)
    assert text.isprintable()
    assert 0 < len(text) <= LONGEST_SENTENCE


def give_nothing_away(error: Exception) -> None:
    """No hash of a password, wherever it stands in the file; without a dollar before it nobody knows it for one."""
    assert f"${SECRET}" not in str(error)


FLAGS = flag_parser("run", "")


def settle(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """A valid configuration, or a sentence."""
    try:
        loaded = load(read_flags("run", FLAGS, words), environ)
    except ConfigError as error:
        check_sentence(error)
        return
    assert all(warning.isprintable() for warning in loaded.warnings)
    config = loaded.config
    assert 0 < config.slo_objective_ratio < 1
    for seconds in (config.slo_threshold_seconds, config.slo_window_seconds, config.annotation_clock_error_seconds):
        assert 0 <= seconds <= 86_400
    assert all(url.isascii() and url.isprintable() for url in config.apiservers)


def check_configuration(data: bytes, number: int) -> None:
    """The same lines as a file, as variables and as flags: a configuration, or a sentence, and nothing else."""
    texts = [os.fsdecode(line) for line in data.replace(b"\0", b"").splitlines()]
    match number % 3:
        case 0:
            Path("watchslo.yaml").write_bytes(data)
            settle(["--config.file", "watchslo.yaml"], {})
        case 1:
            pairs = [text.partition(": ") for text in texts]
            settle([], {f"WATCHSLO_{re.sub('[.-]', '_', name.upper())}": value for name, _, value in pairs})
        case _:
            settle([f"--{text.replace(': ', '=', 1)}" if number % 2 else text for text in texts], {})


def check_web_file(data: bytes, _: int) -> None:
    """What it says, or the rest of a sentence that gives no hash away."""
    file = Path("web.yaml")
    file.write_bytes(data)
    try:
        config = read_web_config(file)
    except ValueError as error:
        check_sentence(error)
        give_nothing_away(error)
        return
    limit = config.rate_limit
    assert math.isfinite(limit.interval_seconds)
    assert limit.most_tokens >= 0
    assert all(value.isprintable() for value in config.http_server_config.headers.values())


def check_audit_log(data: bytes, number: int) -> None:
    """Any cut gives the same report, which any JSON parser, browser and terminal takes; what is kept is bounded."""

    def read(pieces: Sequence[bytes]) -> tuple[Report, int]:
        reader, audit = EventReader(LONGEST_AUDIT_EVENT), Audit(8)
        for piece in pieces:
            for found in reader.feed(piece):
                audit.count(found)
            assert reader.kept_bytes <= 2 * LONGEST_AUDIT_EVENT
        for found in reader.end():
            audit.count(found)
        assert len(audit.rows) <= 9
        return report_of(audit, reader.decoder.unreadable), reader.decoder.received_only

    report, received_only = read([data])
    assert read(cuts(data, number)) == (report, received_only)
    assert sum(report.requests.values()) <= report.events <= data.count(b"{")
    json.dumps(msgspec.to_builtins(report), allow_nan=False)
    assert all(line.isprintable() for line in audit_table(report, 80).split("\n"))
    assert audit_page(report).isascii() or "\x1b" not in audit_page(report)


def check_list(data: bytes, number: int) -> None:
    """Any cut of a LIST gives the same count, which is a JSON decoder's, and none of the objects is kept."""

    def read(pieces: Sequence[bytes]) -> CountedList | None:
        counter = ListCounter()
        try:
            for piece in pieces:
                counter.feed(piece)
                assert len(counter._envelope) <= MOST_ENVELOPE_BYTES
            return counter.finish()
        except NotAListError as error:
            check_sentence(error)
            return None

    counted = read([data])
    assert read(cuts(data, number)) == counted
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if counted is not None and isinstance(items := document.get("items"), list):
        assert counted.objects == sum(isinstance(item, dict | list) for item in items)


def check_counted_watch(data: bytes, number: int) -> None:
    """Any cut of a watch has the same events up to the end of the initial ones, and none that the lines do not have."""

    def read(pieces: Sequence[bytes]) -> tuple[int, int, bool] | None:
        counter = EventCounter()
        try:
            for piece in pieces:
                counter.feed(piece)
        except (NotAWatchError, WatchRefusedError) as error:
            check_sentence(error)
            return None
        return counter.events, counter.size_bytes, counter.is_complete

    whole, cut = read([data]), read(cuts(data, number))
    assert whole == cut
    assert whole is None or whole[0] <= data.count(b"\n")


SECRET = "X0h1gDsPszWURQaxFh.zou"
HASH = f"$2y$10${SECRET}bFi6DXncSjhoQNJgRrnGs7EsimhC7zG"

VALUES = {
    "apiserver": "https://127.0.0.1:6443",
    "tls-server-name": "kubernetes",
    "resource": "pods,deployments.v1.apps",
    "custom-resources": "*.example.com",
    "namespace": "monitoring",
    "shard": "1/3",
    "annotation": "example.com/written-at",
    "slo.threshold": "500ms",
    "slo.objective": "99.9%",
    "slo.window": "1m30s",
    "canary.interval": "1",
    "canary.node": "node-1",
    "web.listen-address": "[::1]:0",
    "log.format": "json",
    "kubeconfig": "credentials.yaml",
}
"""One for each kind of value."""

NESTED = b"""# as in the chart
slo:
  threshold: 1.0
  window: 60
resource: [pods, nodes, widgets.example.com]
canary: {interval: 1s, pod: null}
apiserver.discover: true
"""
WEB_FILES = (
    {"basic_auth_users": {"prometheus": HASH, "other": None}},
    {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key", "min_version": "TLS13"}},
    {
        "tls_server_config": {
            "cert_file": "server.crt",
            "key_file": "server.key",
            "client_ca_file": "ca.crt",
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_allowed_sans": ["prometheus.monitoring.svc"],
            "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"],
            "curve_preferences": ["X25519"],
        }
    },
    {"http_server_config": {"http2": False, "headers": {"X-Frame-Options": "deny"}}},
    {"rate_limit": {"interval": "1m30s", "burst": "20"}, "basic_auth_users": {"me": HASH}},
)
YAML_WORDS = (
    b"&a ",
    b"*a",
    b"<<: *a\n",
    b"!!binary ",
    b"[",
    b"{",
    b"? ",
    b"|\n",
    b"- ",
    b": ",
    b"null",
    b"---\n",
    b"%YAML 9\n",
)


FRAMED = (
    (b"Content-Length: 5", b"hello"),
    (b"Content-Length: 0", b""),
    (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n"),
    (b"Connection: close", b"hello"),
)
"""An answer's last header, and its body."""


def targets() -> list[Target]:
    """All of them."""
    content = short_lines()
    names = [setting.name.encode() for setting in SETTINGS]
    times = [b"2026-11-22T16:33:55Z", b"2026-11-22T16:33:56.123456+01:00", b"1700000000", b"1700000000.25"]
    return [
        Target(
            "splitter",
            [b"".join(content[at : at + 5]) for at in range(45)],
            [b"\n", b"\n\n", b"x" * 300],
            check_splitter,
        ),
        Target(
            "chunk reader",
            [
                *(chunks([line[:40] for line in content[at : at + 4]]) for at in range(40)),
                *(b"5;%b\r\nhello\r\n" % (b"x" * (LONGEST_SIZE_LINE_BYTES - less)) for less in (-9, 0, 1, 2, 3)),
            ],
            [b"\r\n", b"0\r\n\r\n", b"5;name=value\r\n", b"ffffffffffffffff\r\n", b"+1\r\n", b";" + b"x" * 1100],
            check_chunks,
            1500,
        ),
        Target(
            "answer",
            [
                *(b"HTTP/1.1 200 OK\r\nAudit-Id: 1\r\n%b\r\n\r\n%b" % framed for framed in FRAMED),
                b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 204 No Content\r\n\r\n",
                b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n",
            ],
            [
                b"\r\n",
                b"\r\n\r\n",
                b"HTTP/1.1 ",
                b"HTTP/1.1 100 \r\n\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Content-Length: 5\r\n",
                b"Connection: close\r\n",
                b"0\r\n\r\n",
            ],
            check_answer,
            1500,
        ),
        Target(
            "stream",
            [chunks(some) for some in permutations((BOOKMARK, LEASE, ERROR), 2)],
            [b"\r\n", b"\n", b"0\r\n\r\n"],
            check_stream,
            2048,
        ),
        Target(
            "decoder",
            lines(),
            [b"[" * 3000, b'{"a":' * 3000, b'"metadata":', b"null", b'"ERROR"', *times],
            check_decoder,
            16384,
        ),
        Target(
            "metrics text",
            [METRICS_TEXT, *METRICS_TEXT.splitlines(keepends=True)],
            [*[name.encode() for name in SAMPLES], b',le="', b'"}', b"{", b"} 1\n", b"NaN", b"1e999", b'\\"', b"\n"],
            check_metrics_text,
            6000,
        ),
        Target(
            "list",
            [LIST, SORTED_LIST, LIST.replace(b",", b", ")],
            [
                b"{",
                b"}",
                b"[",
                b"]",
                b'"',
                b"\\",
                b'\\"',
                b",{}",
                b"[]",
                b'"items":[',
                b'"items":null',
                b'"metadata":{',
            ],
            check_list,
            4096,
        ),
        Target(
            "counted watch",
            [LEASE + BOOKMARK + LEASE, BOOKMARK.replace(b"true", b"false") + LEASE, LEASE + ERROR, LEASE * 3],
            [b"\n", b'"BOOKMARK"', b'"ERROR"', b"true", b"null", b"{", b'"'],
            check_counted_watch,
            4096,
        ),
        Target(
            "audit log",
            audit_logs(),
            [
                *(
                    b"{",
                    b"}",
                    b"[",
                    b"]",
                    b'"',
                    b"\\",
                    b"\n",
                    b",",
                    b"null",
                    b'"items":[',
                    b"ResponseStarted",
                    b"Panic",
                ),
                *(
                    b"9999-12-31T23:59:59.999999Z",
                    b"0001-01-01T00:00:00+23:59",
                    b"1h0m9999999999s",
                    b"resourceVersion=0",
                ),
                b"system:serviceaccount:a:b" * 50,
            ],
            check_audit_log,
            8192,
        ),
        Target(
            "Date",
            [
                *(formatdate(at * 86_461.0, usegmt=True).encode() for at in range(0, 30_000, 500)),
                b"Sat, 01 Feb 0048 02:55:00 GMT",
                b"Sat, 31 Dec 2016 23:59:60 GMT",
            ],
            [b"GMT", b"Feb", b"29", b"60", b"0000", b"+0100", b"-0000", b"9999", b"\xd9\xa3"],
            check_date,
        ),
        Target(
            "stamps",
            [
                *times,
                b"1700000000123",
                b"1700000000123456",
                b"1700000000123456789",
                b"2026-W01-1T00:00Z",
                b"20261122T163355Z",
            ],
            [
                b"Z",
                b"+00:00",
                b"-23:59",
                b"T24:00",
                b"\xd9\xa3",
                b"\xc2\xb2",
                b".",
                b"0001-01-01",
                b"9999-12-31T23:59:59",
            ],
            check_stamp,
        ),
        Target(
            "configuration",
            [
                NESTED,
                *[f"{name}: {value}\n".encode() for name, value in VALUES.items()],
                *[f"{name}: {value}\nslo.window: 60\n".encode() for name, value in VALUES.items()],
            ],
            [*names, *YAML_WORDS, *[value.encode() for value in VALUES.values()], b"--no-", b"=", b",", b"@"],
            check_configuration,
            600,
        ),
        Target(
            "web file",
            [yaml.safe_dump(file).encode() for file in WEB_FILES] + [json.dumps(file).encode() for file in WEB_FILES],
            [*YAML_WORDS, HASH.encode(), b"  ", b"TLS10"],
            check_web_file,
            1200,
        ),
    ]
