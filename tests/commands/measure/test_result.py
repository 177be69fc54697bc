"""The rule that makes one verdict of all streams, and what is shown of it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from exporter.commands.measure.result import EXIT_CODES, StartupsResult, StreamResult, document
from exporter.commands.measure.table import table
from tests.commands.measure.results import SOME, quiet, result, stream

RELISTED = {"start": 1, "gone": 2, "revision_went_back": 0}
DOWN = {"stream": "down", "trouble": "forbidden: nodes is forbidden"}


@pytest.mark.parametrize(
    ("streams", "verdict", "exit_code"),
    [
        ([stream()], "met", 0),
        ([stream(), quiet()], "met", 0),
        ([stream(), stream("unknown", ambiguous=2)], "unknown", 3),
        ([stream(), stream("violated", late=2), stream("unknown")], "violated", 1),
        ([stream("violated", late=2), quiet(**DOWN)], "violated", 1),
        ([quiet()], "unknown", 3),
        ([], "unknown", 3),
        ([stream(), quiet(**DOWN)], "unknown", 3),
        ([stream(), quiet(relists=RELISTED)], "unknown", 3),
        ([stream(), quiet(is_covered=False)], "unknown", 3),
        ([stream(relists={"start": 1, "gone": 0, "revision_went_back": 0})], "met", 0),
        ([stream(late=1, canaries_lost=1)], "unknown", 3),
        ([stream(), quiet(events=7, late=7, canaries_lost=7)], "unknown", 3),
        ([stream(), quiet(owes_canary=True)], "unknown", 3),
        ([stream("violated", late=7, canaries_lost=7)], "violated", 1),
    ],
)
def test_the_worst_of_what_holds(streams: list[StreamResult], verdict: str, exit_code: int) -> None:
    measured = result(*streams)
    assert measured.verdict == verdict
    assert EXIT_CODES[measured.verdict] == exit_code
    assert bool(measured.reasons) == (verdict != "met"), "whatever is not met has its reason"


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (stream("violated", late=2), "pods on 10.0.0.1:6443: 2 of 100 events were late"),
        (stream("unknown", ambiguous=3), "pods on 10.0.0.1:6443: 3 of 100 events are ambiguous"),
        (quiet(**DOWN), "nodes on 10.0.0.1:6443: its stream is down: forbidden: nodes is forbidden"),
        (quiet(stream="down"), "nodes on 10.0.0.1:6443: its stream is down: it ended"),
        (quiet(relists=RELISTED), "nodes on 10.0.0.1:6443: events may be missing: 2 relists"),
        (
            stream("unknown", is_covered=False, uncovered_seconds=1.25, group="apps"),
            "pods.apps on 10.0.0.1:6443: no watch was open for 1.250 s",
        ),
        (
            stream("violated", late=9, canaries_lost=7),
            "pods on 10.0.0.1:6443: 9 of 100 events were late, 7 of them lost canaries",
        ),
        (stream(late=1, canaries_lost=1), "pods on 10.0.0.1:6443: 1 canaries were lost"),
        (stream(owes_canary=True), "pods on 10.0.0.1:6443: a canary write has not arrived yet"),
        (stream("quiet", events=49), "too few events for a verdict (most on pods on 10.0.0.1:6443: 49)"),
    ],
)
def test_the_reason_is_a_sentence(one: StreamResult, sentence: str) -> None:
    assert result(one).reasons == [sentence]


def test_nothing_watched_is_said_so() -> None:
    assert result().reasons == ["too few events for a verdict: nothing was watched"]


STREAM_KEYS = [
    "apiserver", "group", "resource", "state", "stream", "trouble", "events", "on_time", "late", "ambiguous",
    "p50_lower_seconds", "p50_upper_seconds", "p99_lower_seconds", "p99_upper_seconds", "width_p50_seconds",
    "width_p99_seconds", "stages", "stream_ends", "relists", "uncovered_seconds", "canaries_lost",
    "contradictions", "revision_clock", "undecodable",
]  # fmt: skip


def test_the_keys_of_the_document_are_these() -> None:
    content: Any = json.loads(json.dumps(document(result(stream(stages={"write": SOME})))))
    assert list(content) == [
        "version", "result", "reasons", "duration_seconds", "slo", "streams", "apiservers", "pod_startup",
        "loop_lag_p99_seconds", "faults",
    ]  # fmt: skip
    assert content["duration_seconds"] == {"asked": 60.0, "measured": 60.01}
    assert content["slo"] == {"threshold_seconds": 1.0, "objective_ratio": 0.99}
    (one,) = content["streams"]
    assert list(one) == STREAM_KEYS
    assert one["p99_upper_seconds"] == 0.25
    assert list(one["stages"]["write"]) == STREAM_KEYS[10:14]
    assert content["apiservers"] == [{"apiserver": "10.0.0.1:6443", "polls_answered": 300, "polls_failed": 2}]


def rows(text: str) -> dict[str, list[str]]:
    """The first cell of each row of the table whose header begins with the key, and the whole row."""
    found: dict[str, list[str]] = {}
    for block in text.split("\n\n"):
        header, *lines = block.splitlines()
        found[header.split()[0]] = lines
    return found


def test_the_table_shows_every_stream_in_every_section() -> None:
    shown = rows(table(result(stream(), quiet())))
    assert shown["LATENCY"] == [
        "pods on 10.0.0.1:6443   met    100     100      0     0          0.000 s to 0.100 s  0.050 s to 0.250 s",
        "nodes on 10.0.0.1:6443  quiet  0       100      0     0          -                   -".replace("100", "0  "),
    ]
    assert shown["STREAM"][0].split() == [
        "pods",
        "on",
        "10.0.0.1:6443",
        "up",
        "timeout",
        "1",
        "none",
        "0.000",
        "s",
        "none",
    ]
    assert rows(table(result(stream(canaries_lost=7))))["STREAM"][0].split()[-1] == "7"
    assert shown["TRUST"][0].split()[3:] == ["0.100", "s", "0.200", "s", "none", "events"]
    assert shown["TRUST"][1].split()[3:] == ["-", "-", "none", "events"]
    assert "10.0.0.1:6443: 300 polls answered, 2 failed" in table(result())


def test_stages_are_shown_only_where_they_were_measured() -> None:
    assert "STAGE" not in rows(table(result(stream())))
    (line,) = rows(table(result(stream(stages={"storage_to_cache": SOME}), quiet())))["STAGE"]
    assert line.split()[3:6] == ["storage_to_cache", "0.000", "s"]


def test_starts_of_pods_are_shown_where_they_were_measured() -> None:
    startups = StartupsResult(
        apiserver="10.0.0.1:6443",
        pods={"sli": 3, "sli_pull_unknown": 1, "deleted": 0},
        stages={"total": SOME},
        unknown_share=0.25,
        watches_share_lower=0.01,
        watches_share_upper=0.02,
    )
    shown = table(result(stream(), pod_startup=[startups]))
    assert rows(shown)["POD"] == ["10.0.0.1:6443  total  0.000 s to 0.100 s  0.050 s to 0.250 s"]
    assert "10.0.0.1:6443: pods by how the SLI treats them: sli 3, sli_pull_unknown 1" in shown
    assert "what image pulls took is not known for 25% of the SLI's pods: its lower bounds are wide" in shown
    assert "estimate: 1.0% to 2.0% of the start-up time was waiting for late watches" in shown
    (of_one,) = json.loads(json.dumps(document(result(stream(), pod_startup=[startups]))))["pod_startup"]
    assert of_one["stages"]["total"]["p99_upper_seconds"] == 0.25
    assert "POD" not in rows(table(result(stream())))
    none = replace(startups, pods={"sli": 0}, stages={}, unknown_share=None, watches_share_lower=None)
    shown = table(result(stream(), pod_startup=[none]))
    assert "POD" not in rows(shown)
    assert "10.0.0.1:6443: pods by how the SLI treats them: none" in shown


def test_what_has_no_upper_end_has_no_limit() -> None:
    unlimited = stream(latency=SOME.__class__(**{**_fields(SOME), "p99_upper_seconds": None}), width_p99_seconds=None)
    shown = rows(table(result(unlimited)))
    assert shown["LATENCY"][0].endswith("0.050 s to no limit")
    assert "no limit" in shown["TRUST"][0]


def _fields(quantiles: Any) -> dict[str, Any]:
    return {name: getattr(quantiles, name) for name in STREAM_KEYS[10:14]}


def test_the_last_line_is_the_verdict_and_the_reasons_stand_above() -> None:
    assert table(result(stream())).splitlines()[-1] == "met"
    *_, reason, verdict = table(result(stream("violated", late=5))).splitlines()
    assert (reason, verdict) == ("pods on 10.0.0.1:6443: 5 of 100 events were late", "violated")


def test_a_stream_that_is_down_is_called_so_and_a_start_is_no_relist() -> None:
    down = stream(state="quiet", stream="down", relists={"start": 1, "gone": 0, "revision_went_back": 0})
    shown = rows(table(result(down)))
    assert "  no watch  " in shown["LATENCY"][0]
    assert "quiet" not in shown["LATENCY"][0]
    assert "start" not in shown["STREAM"][0]
