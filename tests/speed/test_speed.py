"""Tests of the benchmark itself: that events are correct, and that missing work is detected."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.speed import protobuf
from tests.speed.consumers import watchslo
from tests.speed.costs import Cost, Scene
from tests.speed.delays import OBSERVERS, Delays
from tests.speed.footprint import Memory
from tests.speed.protobuf import Field
from tests.speed.recording import (
    EVENTS_IN_A_BLOCK,
    FIRST_REVISION,
    FORMATS,
    METADATA_JSON,
    METADATA_PROTOBUF,
    PODS_JSON,
    Format,
    Frame,
    Recording,
    recorded,
    split,
)
from tests.speed.report import TARGETS, Results, all_ratios, page
from tests.speed.serving import Server, replaying

EVENTS = 1_234


def replayed(form: Format, events: int, objects: int = 1000) -> bytes:
    """The bytes of so many events, without HTTP's framing."""
    recording, stream, position = Recording(form, objects), [], 0
    while position < events:
        chunks, count = recording.chunks(position, FIRST_REVISION + position, events - position)
        stream.append(unchunked(chunks))
        position += count
    assert position == events
    return b"".join(stream)


def unchunked(data: bytes) -> bytes:
    content = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        content, data = content + rest[:length], rest[length:]
        assert data.startswith(b"\r\n")
        data = data[2:]
    return content


def identity(form: Format, event: bytes) -> tuple[str, str, str]:
    """Name, uid and revision, as a client reads them."""
    if not form.is_protobuf:
        metadata = json.loads(event)["object"]["metadata"]
        return metadata["name"], metadata["uid"], metadata["resourceVersion"]
    unknown = protobuf.inside(event[4:], 2, 1).removeprefix(b"k8s\0")
    name, uid, revision = (protobuf.inside(unknown, 2, 1, number).decode() for number in (1, 5, 6))
    return name, uid, revision


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_replayed_events_have_the_revisions_and_objects_that_were_meant(form: Format) -> None:
    pods = [Frame.parse(form, event).pod for event in recorded(form)]
    del pods[len(pods) // EVENTS_IN_A_BLOCK * EVENTS_IN_A_BLOCK :]
    events = list(split(form, replayed(form, EVENTS)))
    assert len(events) == EVENTS
    for position, event in enumerate(events):
        times, start = divmod(position, len(pods))
        number = times * (1 + max(pods)) + pods[start]
        name, uid, revision = identity(form, event)
        assert name.endswith(f"-{number:07d}")
        assert uid.endswith(f"-{number:012d}")
        assert len(uid) == 36
        assert revision == str(FIRST_REVISION + position)


def test_objects_come_again_once_there_are_enough() -> None:
    events = split(METADATA_JSON, replayed(METADATA_JSON, 5_000, objects=150))
    assert len({identity(METADATA_JSON, event)[1] for event in events}) == 200


def test_a_replayed_event_is_but_for_its_identity_what_was_recorded() -> None:
    before = json.loads(recorded(PODS_JSON)[0])
    after = json.loads(next(split(PODS_JSON, replayed(PODS_JSON, 1))))
    for event in (before, after):
        for name in ("name", "uid", "resourceVersion"):
            del event["object"]["metadata"][name]
    assert before == after


def test_all_formats_have_the_same_events() -> None:
    frames = {form: [Frame.parse(form, event) for event in recorded(form)] for form in FORMATS}
    told = {form: [(frame.pod, frame.event_type) for frame in those] for form, those in frames.items()}
    assert told[METADATA_JSON] == told[PODS_JSON] == told[METADATA_PROTOBUF]
    assert {"ADDED", "MODIFIED", "DELETED"} == {frame.event_type for frame in frames[PODS_JSON]}


def test_the_recordings_are_small() -> None:
    assert all(form.file.stat().st_size < 100_000 for form in FORMATS)


def test_lengths_follow_what_is_replaced_in_a_protobuf_message() -> None:
    inner = protobuf.message([Field(6, b"7"), Field(7, 300)])
    outer = protobuf.message([Field(1, b"ADDED"), Field(2, inner)])
    longer = protobuf.replaced(outer, (2, 6), b"8" * 200)
    assert protobuf.inside(longer, 2, 6) == b"8" * 200
    assert protobuf.fields(protobuf.inside(longer, 2))[1] == Field(7, 300)
    assert protobuf.inside(longer, 1) == b"ADDED"


class Client:
    """One keep-alive connection to a replay."""

    def __init__(self, server: Server) -> None:
        address = urlsplit(server.urls[0])
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)

    def get(self, path: str, form: Format = METADATA_JSON) -> http.client.HTTPResponse:
        self._connection.request("GET", path, headers={"Accept": form.accept})
        return self._connection.getresponse()

    def listed(self) -> int:
        response = self.get("/api/v1/namespaces/default/events?limit=1")
        assert response.headers["Audit-Id"]
        assert response.headers["Date"]
        return int(json.loads(response.read())["metadata"]["resourceVersion"])

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with replaying(tmp_path) as running:
        yield running


def test_a_list_says_the_revision_of_the_last_event_that_was_sent(server: Server) -> None:
    lister, watcher = Client(server), Client(server)
    watch = watcher.get("/api/v1/pods?watch=true")
    arrived, said = [FIRST_REVISION], []
    ended = threading.Event()

    def read() -> None:
        while arrived[-1] < FIRST_REVISION + 2000:
            arrived.append(int(json.loads(watch.readline())["object"]["metadata"]["resourceVersion"]))

    def poll() -> None:
        while not ended.is_set():
            at_least = arrived[-1]
            said.append((at_least, lister.listed(), time.monotonic()))

    threads = [threading.Thread(target=read), threading.Thread(target=poll)]
    for thread in threads:
        thread.start()
    bursts = server.send(1000, per_second=2000, burst=50).bursts + server.send(1000).bursts
    threads[0].join()
    ended.set()
    threads[1].join()
    assert arrived == list(range(FIRST_REVISION, FIRST_REVISION + 2001))
    for at_least, revision, answered in said:
        assert at_least <= revision <= max([FIRST_REVISION, *(b.last_revision for b in bursts if b.began <= answered)])
    assert len({revision for _, revision, _ in said}) > 2
    assert lister.listed() == FIRST_REVISION + 2000
    for client in (lister, watcher):
        client.close()


def test_a_list_in_protobuf_says_the_same(server: Server) -> None:
    client = Client(server)
    body = client.get("/api/v1/pods", METADATA_PROTOBUF).read()
    client.close()
    assert body.startswith(b"k8s\0")
    assert protobuf.inside(body.removeprefix(b"k8s\0"), 2, 1, 2).decode() == str(FIRST_REVISION)


def test_the_exporter_judges_every_replayed_event_once_and_does_all_its_work(tmp_path: Path) -> None:
    with replaying(tmp_path, resources=2, tls=True) as server, watchslo(server) as exporter:
        exporter.warm(server)
        handled = exporter.handled()
        server.send(EVENTS)
        exporter.wait_until_handled(handled + EVENTS)
        exporter.verify(EVENTS)
        assert sum(exporter.verdicts().values()) == EVENTS
        with pytest.raises(AssertionError, match="revision_clock"):
            exporter.verify(EVENTS + 1)


def results(*, watchslo_microseconds: float) -> Results:
    """As if everything had been measured, in two rounds."""
    spent = {"watchslo": watchslo_microseconds, "Watch, V1Pod": 2000.0, "Watch, plain objects": 300.0}
    verdicts = {"on_time": 7, "late": 0, "ambiguous": 0}
    costs = {(Scene(), who): [Cost(cpu, 1.0, 1 << 20, 5.0, 0.04, verdicts)] * 2 for who, cpu in spent.items()}
    stamped = {observer: [Delays(0.001, 0.002, 0, 0), Delays(0.001, 0.004, 0, 0)] for observer in OBSERVERS}
    memory = {"empty aiohttp server": Memory(30 << 20, 20 << 20), "watchslo": Memory(80 << 20, 60 << 20)}
    return Results(2, costs, stamped, memory, [0.9], 60.0)


def test_the_page_says_what_was_measured_and_what_was_left_out() -> None:
    text = page(results(watchslo_microseconds=40.0))
    assert "| Watch, V1Pod / watchslo | >= 40 | 50 | in 1 of 1 |" in text
    assert "| watchslo / metadata informer | <= 1 |  | not measured |" in text
    assert "there is no Go to build it with" in text
    assert "| 1 stream, plain, full speed | watchslo | 40 µs (40 to 40) | 25000 | 1 | 1 MiB |" in text
    assert "$" not in text


def test_a_ratio_says_whether_its_aim_is_met() -> None:
    found = {ratio.name: ratio for ratio in all_ratios(results(watchslo_microseconds=40.0))}
    assert found["CPU per event, Watch, V1Pod / watchslo: 1 stream, plain, full speed"].is_met
    assert not found["CPU per event, Watch, plain objects / watchslo: 1 stream, plain, full speed"].is_met
    assert not found["P99 of stamp delay, watchslo / Watch, V1Pod"].is_met
    assert found["CPU seconds from start to first judged event"].value == 0.9
    memory = next(ratio for name, ratio in found.items() if name.startswith("peak memory"))
    assert memory.value == 1.0


def test_an_aim_is_met_from_the_right_side() -> None:
    more, _, less = TARGETS
    assert more.is_met(40)
    assert not more.is_met(39.9)
    assert less.is_met(1)
    assert not less.is_met(1.01)
