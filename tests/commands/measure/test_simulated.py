"""Measurements of the simulated apiserver, whose truth is known, mostly by the command that load tests call."""

import asyncio
import io
import shlex
import sys
import time
from pathlib import Path

import pytest

from exporter.commands.measure.measuring import Measurement
from exporter.commands.measure.progress import Progress
from exporter.commands.measure.result import Result
from exporter.measure.arrivals import Arrivals
from exporter.measure.dating import Dated
from exporter.measure.events import Event
from exporter.measure.judging import judge
from exporter.measure.times import Interval
from exporter.service import leaving
from exporter.service.daemon import load_credentials
from exporter.simulator import Simulator, Workload
from exporter.simulator.faults import Rejection
from exporter.simulator.resources import CRDS, NODES
from exporter.simulator.simulator import WIDGETS
from tests.commands.check.command import plain_kubeconfig
from tests.commands.measure.command import Running, measure
from tests.support.observing import config
from tests.support.streams import Fed
from tests.support.waiting import wait_until

RATE_PER_SECOND = 60.0
PODS = ("--resource", "pods")

pytestmark = pytest.mark.timeout(150)


async def prepared(*flags: str | Path, duration_seconds: float, ready_seconds: float = 30.0) -> Measurement:
    """In this process, and not run yet."""
    settled = config(*flags)
    credentials = await load_credentials(settled)
    progress = Progress(io.StringIO(), duration_seconds)
    return Measurement(settled, credentials, duration_seconds, asyncio.Event(), progress, ready_seconds=ready_seconds)


async def measured(
    *flags: str | Path, duration_seconds: float, ready_seconds: float = 30.0
) -> tuple[Result, Measurement]:
    """In this process, from start to end."""
    measurement = await prepared(*flags, duration_seconds=duration_seconds, ready_seconds=ready_seconds)
    return await measurement.run(), measurement


async def test_what_was_read_before_the_end_counts_however_long_the_machine_slept_before(tmp_path: Path) -> None:
    arrivals = Arrivals()
    arrivals.connected(0.0, 0.0)
    arrivals.slept(10.0, 10.0, 0.9)
    arrivals.connected(10.1, 10.12)
    for look in (10.13, 10.14):
        arrivals.found_empty(look)
    read = arrivals.received(10.2, 100)
    arrival = arrivals.excusing_us(read, committed_after=9.9)
    assert arrival.latest > 10.4, "by a clock that had counted the sleep"
    dated = Dated(Interval(9.9, 9.95), (), ())
    judgement = judge(Event("modified", 1), read.latest, arrival, dated, threshold_seconds=1.0)

    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    measurement = await prepared("--kubeconfig", kubeconfig, *PODS, duration_seconds=10.4)
    measurement._began, measurement._ended = 0.0, 10.4
    target = Fed().target
    measurement._count(target, judgement)
    [tally] = measurement._tallies.values()
    assert tally.events == 1
    assert target not in measurement._settled
    measurement._count(target, judgement._replace(arrived=10.41))
    assert tally.events == 1
    assert target in measurement._settled


async def test_a_healthy_apiserver_meets_the_objective(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await measure("--kubeconfig", kubeconfig, "--duration", "5")
    assert (ended.exit_code, ended.out.splitlines()[-1]) == (0, "met"), ended
    assert "of 5 s: " in ended.err
    assert ended.out.startswith("99 % of events within 1 s of their commit?\nmeasured for 5.0 of 5 s\n")


@pytest.mark.parametrize("redirection", [">/dev/full", "2>/dev/full"])
async def test_a_full_disk_is_no_verdict(tmp_path: Path, redirection: str) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        words = shlex.join([sys.executable, "-m", "exporter", "measure", "--kubeconfig", str(kubeconfig)])
        process = await asyncio.create_subprocess_shell(
            f"exec {words} --duration 1 {redirection}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 100)
    assert (process.returncode, out) == (2, b"")
    assert b"Traceback" not in err
    if redirection.startswith(">"):
        assert err.decode().splitlines()[-1] == "watchslo: error: cannot write to stdout: No space left on device"


async def test_canaries_that_are_too_few_are_said_at_the_start(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await measure(
            *("--kubeconfig", kubeconfig, "--resource", "nodes", "--duration", "1"),
            *("--canary.interval", "0.5", "--canary.node", "one"),
        )
    first_line, *_ = ended.err.splitlines()
    assert first_line.startswith(
        "watchslo: warning: --canary.interval: 2 canaries in 1 s are fewer than the 50 events "
    )
    assert ended.exit_code == 3


async def test_a_slow_apiserver_violates_it(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        simulator.faults.cache_to_watch.set(2.0, "pods")
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await measure("--kubeconfig", kubeconfig, "--duration=5", "--output=json")
    assert ended.exit_code == 1, ended
    assert ended.document["result"] == "violated"
    pods = ended.stream("pods")
    assert (pods["state"], pods["on_time"]) == ("violated", 0)
    assert pods["late"] > 20
    assert 1.5 < pods["p50_lower_seconds"] <= pods["p99_lower_seconds"]
    assert ended.stream("nodes")["late"] == 0


async def test_without_events_nothing_is_known(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await measure("--kubeconfig", kubeconfig, "--duration=2", "--output=json")
    assert ended.exit_code == 3, ended
    assert ended.document["result"] == "unknown"
    assert ended.stream("pods")["state"] == ended.stream("nodes")["state"] == "quiet"
    assert ended.stream("pods")["p99_upper_seconds"] is None


async def test_a_stream_that_never_comes_up_is_named(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        simulator.faults.deny("watch", "nodes")
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await measure("--kubeconfig", kubeconfig, "--duration=4", "--output=json")
    assert ended.exit_code == 3, ended
    (reason,) = ended.document["reasons"]
    assert reason.startswith(f"nodes on {simulator.url.removeprefix('http://')}: its stream is down: forbidden: ")
    assert ended.stream("nodes")["stream"] == "down"
    assert ended.stream("pods")["state"] == "met", "the others are measured"


async def test_a_relist_keeps_it_from_being_met(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        async with Running("--kubeconfig", kubeconfig, "--duration=8", "--output=json", *PODS) as running:
            await running.says("0 of 8 s")
            await asyncio.sleep(2)
            simulator.apiserver.reinitialize("pods", not_ready_seconds=1.0)
            await asyncio.sleep(0.5)
            simulator.compact()
            ended = await running.ended()
    assert ended.exit_code == 3, ended
    pods = ended.stream("pods")
    assert pods["relists"]["gone"] >= 1, ended
    assert sum(pods["stream_ends"].values()) >= 1
    assert pods["uncovered_seconds"] > 0
    assert (pods["state"], pods["late"]) == ("unknown", 0)
    assert "events may be missing: 1 relist" in ended.document["reasons"][-1]


async def test_a_resumed_watch_loses_nothing_and_may_be_met(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        flags = ("--kubeconfig", plain_kubeconfig(tmp_path / "kubeconfig", simulator.url), *PODS)
        measuring = asyncio.create_task(measured(*flags, "--slo.objective", "0.9", duration_seconds=6))
        await asyncio.sleep(3)
        simulator.apiserver.end_watches("pods")
        result, _ = await measuring
    (pods,) = result.streams
    assert sum(pods.stream_ends.values()) == 1
    assert pods.uncovered_seconds > 0
    assert (result.verdict, result.reasons) == ("met", [])


async def test_a_watch_that_was_down_for_longer_than_the_threshold_may_hide_something(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        flags = ("--kubeconfig", plain_kubeconfig(tmp_path / "kubeconfig", simulator.url), *PODS)
        # So many may be late that those of the gap are no violation.
        measuring = asyncio.create_task(measured(*flags, "--slo.objective", "0.3", duration_seconds=12))
        await asyncio.sleep(3)
        simulator.faults.rejection = Rejection(503, verbs=frozenset({"watch"}))
        simulator.apiserver.end_watches("pods")
        await asyncio.sleep(1.5)
        simulator.faults.rejection = None
        result, _ = await measuring
    (pods,) = result.streams
    assert sum(pods.relists.values()) == 0, "it was resumed, and nothing is lost"
    assert 1 < pods.uncovered_seconds < 8
    assert (result.verdict, pods.state) == ("unknown", "unknown")
    assert result.reasons == [f"{pods.name}: no watch was open for {pods.uncovered_seconds:.3f} s"]


@pytest.mark.parametrize("leaving_seconds", [leaving.LEAVING_SECONDS, 0.1], ids=["in grace", "dropped"])
async def test_a_definition_that_goes_and_is_back_is_one_stream_with_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaving_seconds: float
) -> None:
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", leaving_seconds)
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND * 3):
        flags = ("--kubeconfig", plain_kubeconfig(tmp_path / "kubeconfig", simulator.url), "--custom-resources", "*")
        measurement = await prepared(*flags, "--slo.objective", "0.3", duration_seconds=14)
        measuring = asyncio.create_task(measurement.run())
        await wait_until(lambda: sum(tally.events for tally in measurement._tallies.values()) > 60, "it measures")
        await simulator.apiserver.registry.delete(CRDS, ("", WIDGETS.name))
        await asyncio.sleep(2.5)
        await simulator.define(WIDGETS)
        result = await measuring
    (widgets,) = [stream for stream in result.streams if stream.resource == "widgets"]
    assert widgets.stream == "up"
    assert widgets.events > 60
    assert not widgets.is_covered
    assert 0 < widgets.uncovered_seconds < 12
    assert (widgets.state, result.verdict) == ("unknown", "unknown")


async def test_what_arrived_before_the_end_is_waited_for(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        polled_seldom = ("--revision-clock.hz", "0.5", "--cache-clock.hz", "0")
        result, measurement = await measured("--kubeconfig", kubeconfig, *PODS, *polled_seldom, duration_seconds=5)
    sent = [delivery.sent_seconds for delivery in simulator.truth.deliveries("pods")]
    arrived = sum(measurement._began <= seconds <= measurement._ended for seconds in sent)
    assert arrived > 60
    assert result.streams[0].events == pytest.approx(arrived, abs=3)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("exporter.service.stream", "exporter.commands.measure.measuring"):
        monkeypatch.setattr(f"{place}.CANARY_SECONDS", 1.0)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("stalls_after_seconds", "verdict"),
    [(0.5, "violated"), (7.0, "violated"), (None, "met")],
    ids=["stalled", "stalled-last", "healthy"],
)
async def test_a_canary_that_never_comes_is_late(
    tmp_path: Path, stalls_after_seconds: float | None, verdict: str
) -> None:
    async with Simulator() as simulator:
        await simulator.apiserver.registry.create(NODES, {"metadata": {"name": "canary"}}, manager="kubelet")
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        canary = ("--canary.node", "canary", "--canary.interval", "0.1")
        flags = ("--kubeconfig", kubeconfig, "--resource", "nodes", *canary)
        measurement = await prepared(*flags, duration_seconds=8.0)
        running = asyncio.create_task(measurement.run())
        if stalls_after_seconds is not None:
            after = stalls_after_seconds
            await wait_until(lambda: time.monotonic() > measurement._began + after, "it measures", timeout_seconds=60)
            simulator.faults.cache_to_watch.set(60.0)
        result = await running
    (nodes,) = result.streams
    assert result.verdict == verdict, (result.reasons, nodes)
    assert (nodes.canaries_lost > 0) == (stalls_after_seconds is not None)
    assert nodes.late >= nodes.canaries_lost
    assert nodes.events == nodes.on_time + nodes.late + nodes.ambiguous
    if nodes.canaries_lost:
        assert nodes.latency.p99_upper_seconds is None
        assert nodes.latency.p99_lower_seconds == pytest.approx(2.0, rel=0.02)
        assert not nodes.owes_canary


async def test_if_no_stream_comes_up_nothing_is_measured(tmp_path: Path) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    result, _ = await measured("--kubeconfig", kubeconfig, *PODS, duration_seconds=3600, ready_seconds=1.0)
    assert result.verdict == "unknown"
    assert result.measured_seconds < 60
    (reason,) = result.reasons
    assert reason.startswith("pods on 127.0.0.1:1: its stream is down: connect: ")


async def test_credentials_that_nobody_knows_are_one_sentence(tmp_path: Path) -> None:
    async with Simulator(tokens={"of-somebody-else": "alice"}) as simulator:
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        ended = await measure("--kubeconfig", kubeconfig, "--duration", "3600", "--log.level", "error")
    assert (ended.exit_code, ended.out) == (2, ""), ended
    last_line = ended.err.splitlines()[-1]
    assert last_line.startswith("watchslo: error: ")
    assert "unauthorized" in last_line


async def test_an_unusable_kubeconfig_is_one_sentence(tmp_path: Path) -> None:
    kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:1")
    ended = await measure("--kubeconfig", kubeconfig, "--context", "nowhere")
    assert (ended.exit_code, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert "nowhere" in ended.err


async def test_an_interrupt_ends_it_early_with_what_there_is(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        simulator.faults.cache_to_watch.set(2.0)
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        async with Running("--kubeconfig", kubeconfig, "--duration=3600", "--output=json") as running:
            await running.says("0 of 3600 s")
            await asyncio.sleep(4)
            running.interrupt()
            ended = await running.ended()
    assert ended.exit_code == 1, ended
    assert 3 < ended.document["duration_seconds"]["measured"] < 60
    assert ended.stream("pods")["late"] > 0


async def test_a_watch_that_opens_late_has_not_watched_the_whole_duration(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        simulator.faults.deny("watch", "nodes")
        flags = ("--kubeconfig", plain_kubeconfig(tmp_path / "kubeconfig", simulator.url))
        measurement = await prepared(*flags, duration_seconds=12)
        measuring = asyncio.create_task(measurement.run())
        await wait_until(lambda: measurement._began < float("inf"), "the duration has begun")
        await asyncio.sleep(2)
        simulator.faults.allow("watch", "nodes")
        result = await measuring
    nodes = next(stream for stream in result.streams if stream.resource == "nodes")
    assert result.verdict == "unknown"
    assert result.reasons == [f"{nodes.name}: no watch was open for {nodes.uncovered_seconds:.3f} s"]


async def test_custom_resources_that_nobody_may_list_are_not_met(tmp_path: Path) -> None:
    async with Simulator() as simulator, Workload(simulator, rate_per_second=RATE_PER_SECOND):
        simulator.faults.deny("list", "customresourcedefinitions.apiextensions.k8s.io")
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        words = ("--kubeconfig", kubeconfig, *PODS, "--custom-resources", "*.example.com", "--duration=4")
        ended = await measure(*words, "--output=json")
    assert ended.exit_code == 3, ended
    (reason,) = ended.document["reasons"]
    assert reason.startswith("custom resources cannot be followed: forbidden: ")
    assert ended.stream("pods")["state"] == "met"
