"""An apiserver's dump of requests: whatever it is cut into, and whatever somebody calls himself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.audit.live_counts import NAMES
from exporter.credentials import Credentials, CredentialsSource
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.session import ApiSession, Server
from exporter.limits import refused_texts
from exporter.server_metrics.flow_reader import DUMP_REQUESTS, SAMPLES, FlowReader, ask_flows, facts_of
from exporter.server_metrics.flows import MOST_FLOWS, MOST_LINE_BYTES, FlowDump, FlowKey, FlowParser, FlowRequests
from exporter.server_metrics.reader import LOOK_SECONDS, Periods
from tests.real.cluster import Cluster
from tests.server_metrics.serving import Bill, MetricsServer, session_with
from tests.support.waiting import wait_until

HEADER = (
    "PriorityLevelName,   FlowSchemaName,     QueueIndex,   RequestIndexInQueue,   FlowDistingsher,   ArriveTime,   "
    "InitialSeats,   FinalSeats,   AdditionalLatency,   StartTime\n"
)
TIME = "2026-11-29T12:00:00.123456789Z"
NEVER = 3600.0


def line(name: str, *, place: int = -1, seats: int = 1, schema: str = "service-accounts") -> str:
    cells = ("workload-low", schema, "8", str(place), name, TIME, str(seats), "0", "0s", TIME)
    return ",   ".join(cells) + "\n"


def dumped(text: str) -> FlowDump:
    parser = FlowParser()
    parser.feed(text.encode())
    return parser.finish()


def test_seats_and_waiting_requests_are_summed_up_by_flow() -> None:
    dump = dumped(
        HEADER
        + line("alice", seats=10)
        + line("alice", seats=3)
        + line("alice", place=0, seats=10)
        + line("bob", place=17)
        + line("", schema="exempt")
    )
    assert dump == FlowDump(
        {
            FlowKey("service-accounts", "alice"): FlowRequests(seats=13, executing=2, waiting=1),
            FlowKey("service-accounts", "bob"): FlowRequests(waiting=1),
            FlowKey("exempt", ""): FlowRequests(seats=1, executing=1),
        },
        is_dump=True,
    )


def test_a_name_may_have_commas() -> None:
    assert FlowKey("service-accounts", "cn=x,ou=y, z") in dumped(HEADER + line("cn=x,ou=y, z", seats=4)).flows


def test_a_line_that_is_none_is_refused() -> None:
    lines = (
        "x, y\n",
        line("alice", seats=10**7),
        line("a" * 301),
        line("b" * MOST_LINE_BYTES),
        line("c").replace("-1", "?"),
    )
    dump = dumped(HEADER + "".join(lines) + line("bob"))
    assert dump.refused == len(lines)
    assert dump.flows.keys() == {FlowKey("service-accounts", "bob")}


def test_of_too_many_flows_the_first_are_kept() -> None:
    dump = dumped(HEADER + "".join(line(f"user-{number}") for number in range(MOST_FLOWS + 7)))
    assert (len(dump.flows), dump.refused) == (MOST_FLOWS, 7)


def test_a_level_without_queues_is_no_request() -> None:
    """As apiservers before 1.27 have it."""
    dump = dumped(
        HEADER + "exempt,   <none>,   <none>,   <none>,   <none>,   <none>,   <none>,   <none>,   <none>,   <none>\n"
    )
    assert dump == FlowDump(is_dump=True)


@pytest.mark.parametrize("text", ["", "\n", "<html>Please log in.</html>\n", line("alice")])
def test_what_does_not_begin_as_one_is_no_dump(text: str) -> None:
    assert not dumped(text).is_dump


@given(st.binary(max_size=300), st.lists(st.integers(1, 40)))
def test_it_is_the_same_wherever_it_is_cut_and_nothing_breaks_it(noise: bytes, cuts: list[int]) -> None:
    body = (HEADER + line("alice", seats=2)).encode() + noise + (b"\n" + line("bob").encode())
    parser, rest = FlowParser(), body
    for cut in cuts:
        parser.feed(rest[:cut])
        rest = rest[cut:]
    parser.feed(rest)
    dump = parser.finish()
    whole = FlowParser()
    whole.feed(body)
    assert dump == whole.finish()
    assert dump.flows[FlowKey("service-accounts", "bob")].executing >= 1


def test_a_line_that_never_ends_is_not_kept() -> None:
    parser = FlowParser()
    for _ in range(1000):
        parser.feed(b"x" * 1000)
    assert len(parser._rest) <= MOST_LINE_BYTES + 1


def test_facts_are_shares_of_all_samples_and_names_are_what_may_be_said() -> None:
    first = dumped(HEADER + line("alice", seats=6) + line("bob", seats=2) + line("bob", place=0))
    second = dumped(HEADER + line("", schema="exempt", seats=2))
    plain = facts_of([first, second], NAMES["plain"])
    assert [(one.name, one.requests, one.seats_share, one.waiting_share) for one in plain] == [
        ("alice", 1, 0.6, 0.0),
        ("bob", 2, 0.2, 1.0),
        (None, 1, 0.2, 0.0),
    ]
    assert [one.name for one in facts_of([first, second], NAMES["none"])] == ["", "", None]


@contextlib.asynccontextmanager
async def sampling(folder: Path, server: MetricsServer, *, refused: float = NEVER) -> AsyncIterator[FlowReader]:
    async with session_with(folder, server.url) as session:
        reader = FlowReader(session, "127.0.0.1:6443", str, Periods(quiet=0.1, trouble=0.1, refused=refused))
        running = asyncio.create_task(reader.run())
        try:
            yield reader
        finally:
            running.cancel()
            await asyncio.wait({running})


async def test_it_is_asked_for_only_while_it_is_wanted(tmp_path: Path) -> None:
    async with MetricsServer(HEADER + line("alice")) as server, sampling(tmp_path, server) as reader:
        await asyncio.sleep(3 * LOOK_SECONDS)
        assert (server.asked, reader.facts) == ([], ())
        reader.is_wanted = True
        await wait_until(lambda: len(server.asked) > SAMPLES, "samples")
        assert [(one.name, one.requests) for one in reader.facts] == [("alice", SAMPLES)]
        reader.is_wanted = False
        await asyncio.sleep(2 * LOOK_SECONDS)
        asked = len(server.asked)
        await asyncio.sleep(3 * LOOK_SECONDS)
        assert len(server.asked) == asked
        assert {request.path_qs for request in server.asked} == {DUMP_REQUESTS}


async def test_what_is_not_permitted_is_not_asked_for_again_soon(tmp_path: Path) -> None:
    async with MetricsServer(403) as server, sampling(tmp_path, server) as reader:
        reader.is_wanted = True
        await asyncio.sleep(7 * LOOK_SECONDS)
        assert len(server.asked) == 2
        assert reader.facts == ()


async def test_an_apiserver_that_starts_may_refuse_once(tmp_path: Path) -> None:
    said = HEADER + line("alice")
    async with MetricsServer(said, 403, said, 403, said) as server, sampling(tmp_path, server) as reader:
        reader.is_wanted = True
        await wait_until(lambda: len(server.asked) > 5, "it is asked again")


async def test_after_an_error_it_is_asked_for_again(tmp_path: Path) -> None:
    async with MetricsServer(500, "<html>", HEADER + line("alice")) as server, sampling(tmp_path, server) as reader:
        reader.is_wanted = True
        await wait_until(lambda: len(reader.facts) > 0, "a dump")


async def test_what_it_costs_and_what_is_refused_is_counted(tmp_path: Path) -> None:
    bill, refused = Bill(), refused_texts.times["server_metrics"]
    text = HEADER + "nothing\n"
    async with MetricsServer(text) as server, session_with(tmp_path, server.url, bill) as session:
        await ask_flows(session)
    assert (bill.requests["server_metrics"], bill.bytes["server_metrics"]) == (1, len(text))
    assert refused_texts.times["server_metrics"] == refused + 1


@contextlib.asynccontextmanager
async def session_of(cluster: Cluster, user: str, folder: Path) -> AsyncIterator[ApiSession]:
    credentials = Credentials(CredentialsSource(cluster.kubeconfig(folder / user, user=user)))
    await credentials.load()
    session = ApiSession(Server(cluster.apiserver.url, is_one_apiserver=True), credentials)
    try:
        yield session
    finally:
        await session.close()


async def test_a_real_apiserver_tells_of_our_own_request_where_that_is_permitted(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with session_of(cluster, "admin", tmp_path) as admin, session_of(cluster, "limited", tmp_path) as limited:
        dump = await ask_flows(admin)
        assert dump.refused == 0
        assert dump.flows[FlowKey("exempt", "")].executing >= 1
        with pytest.raises(StartError) as refused:
            await ask_flows(limited)
        assert refused.value.reason == "forbidden"
