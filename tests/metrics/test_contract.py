"""The metric contract of design section 6, written out a second time: a rename on one side breaks here."""

from itertools import product

import pytest
from msgspec.structs import replace

from exporter.audit.live_counts import Total
from exporter.limits import REFUSED, refused_texts
from exporter.measure.startup_counts import StartupState, StartupWindow
from exporter.measure.times import Interval
from exporter.measure.window import EMPTY
from exporter.metrics.families import FAMILIES, reference_markdown
from exporter.metrics.registry import Metrics
from exporter.vocabulary import FAULTS
from tests.metrics.reading import families_in, refresh, samples_in, text_of

WATCHED = {"apiserver": "10.0.0.1:6443", "group": "example.com", "resource": "widgets"}
POLLED = {"apiserver": "10.0.0.1:6443", "group": "", "resource": "events"}

SPANS = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 0.75 0.9 1.0 1.1 1.25 1.5 2.0 2.5 5.0 10.0 30.0 60.0 +Inf"
RECONNECTS = "0.1 0.5 1.0 2.0 5.0 10.0 30.0 60.0 +Inf"
LIFETIMES = "1.0 10.0 60.0 120.0 300.0 600.0 1800.0 3600.0 +Inf"
FINE = "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 +Inf"

SOURCES = (
    "source=revision_clock,arrival,canary,date,managed_fields,creation_timestamp,deletion_timestamp,annotation,lease"
)
STAGES = "stage=write,storage_to_cache,cache_to_client"

COUNTERS = {
    "watchslo_events_judged_total": "verdict=on_time,late,ambiguous",
    "watchslo_events_total": "event_type=added,modified,deleted,bookmark phase=live,replayed",
    "watchslo_evidence_total": SOURCES,
    "watchslo_events_unmeasured_total": "reason=no_evidence,overflow,bad_revision",
    "watchslo_contradictions_total": SOURCES,
    "watchslo_watch_ends_total": "reason=timeout,early_eof,gone,server_timeout,throttled,server_error,transport_error,"
    "unauthorized,forbidden,not_found,silent,suspended",
    "watchslo_forced_closes_total": "",
    "watchslo_relists_total": "reason=start,gone,revision_went_back",
    "watchslo_init_events_errors_total": "reason=connect,gone,throttled,unauthorized,forbidden,not_found,"
    "server_timeout,server_error,bad_response",
    "watchslo_uncovered_seconds_total": "",
    "watchslo_received_bytes_total": "",
    "watchslo_canary_writes_total": "",
    "watchslo_canary_write_failures_total": "",
    "watchslo_canary_lost_total": "",
    "watchslo_decode_errors_total": "",
}
STARTS = "watchslo_init_events_errors_total"
PURPOSES = "purpose=discovery,list,watch,revision_poll,cache_poll,canary,access_review,server_metrics"
COUNTERS_OF_AN_ADDRESS = (
    "watchslo_apiserver_requests_total",
    "watchslo_apiserver_request_seconds_total",
    "watchslo_apiserver_response_bytes_total",
)
HISTOGRAMS = {
    "watchslo_apiserver_time_span_seconds": ("", SPANS),
    "watchslo_apiserver_time_span_lower_seconds": ("", SPANS),
    "watchslo_apiserver_time_span_upper_seconds": ("", SPANS),
    "watchslo_stage_lower_seconds": (STAGES, SPANS),
    "watchslo_stage_upper_seconds": (STAGES, SPANS),
    "watchslo_canary_delivery_seconds": ("", SPANS),
    "watchslo_canary_write_seconds": ("", SPANS),
    "watchslo_interval_width_seconds": ("", FINE),
    "watchslo_relist_seconds": ("", RECONNECTS),
    "watchslo_rewatch_seconds": ("", RECONNECTS),
    "watchslo_watch_lifetime_seconds": ("", LIFETIMES),
}
REFUSED_TEXTS = (
    "what=annotation,managed_fields,uid,name,line,encoding,answer,message,discovery,token,endpoint,"
    "server_metrics,audit,credentials"
)
WEB_REFUSALS = "reason=malformed,handshake,too_many_connections,too_many_requests,slow_headers,slow_reader"
LEFT_OUT = ("watchslo_apiservers_left_out", "watchslo_custom_resources_left_out")
AUDITED = ("watchslo_audit_request_seconds_total", "watchslo_audit_requests_total")
GAUGES_FROM_THE_START = {"watchslo_window_events": 0.0, "watchslo_stream_up": 0.0}
GAUGES_WHEN_KNOWN = (
    "watchslo_p99_seconds",
    "watchslo_p99_lower_seconds",
    "watchslo_p99_upper_seconds",
    "watchslo_last_activity_timestamp_seconds",
)
STARTUP_QUANTILES = [f"watchslo_pod_startup_p{q}_{end}_seconds" for q in (95, 99) for end in ("lower", "upper")]
STARTUPS = "0.1 0.25 0.5 1.0 1.5 2.0 3.0 4.0 5.0 7.5 10.0 15.0 30.0 60.0 120.0 300.0 600.0 +Inf"
STARTUP_STAGES = "stage=scheduled,sandbox,initialized,started,ready,total,sli,watches"
STARTUP_RESULTS = "result=sli,sli_pull_unknown,stateful,unschedulable,static,deleted,failed,created_unseen,overflow"
PULL_WATCH_ERRORS = "watchslo_pod_startup_pull_watch_errors_total"
ALL_TYPES = (
    dict.fromkeys([*COUNTERS, *COUNTERS_OF_AN_ADDRESS, "watchslo_clock_polls_total"], "counter")
    | dict.fromkeys([*HISTOGRAMS, "watchslo_clock_poll_seconds", "watchslo_loop_lag_seconds"], "histogram")
    | dict.fromkeys([*GAUGES_FROM_THE_START, *GAUGES_WHEN_KNOWN, "watchslo_slo_state"], "gauge")
    | dict.fromkeys(["watchslo_clock_offset_lower_seconds", "watchslo_clock_offset_upper_seconds"], "gauge")
    | dict.fromkeys(["watchslo_date_evidence_enabled", "watchslo_build_info"], "gauge")
    | dict.fromkeys(["watchslo_threshold_seconds", "watchslo_objective_ratio"], "gauge")
    | dict.fromkeys(["watchslo_shards", "watchslo_shard_index", "watchslo_tasks"], "gauge")
    | dict.fromkeys(LEFT_OUT, "gauge")
    | dict.fromkeys(AUDITED, "counter")
    | {"watchslo_discovery_errors_total": "counter", "watchslo_revision_clock": "gauge"}
    | dict.fromkeys(["watchslo_stale_reads_total", "watchslo_balancers_noticed_total"], "counter")
    | {"watchslo_server_metrics_reads_total": "counter"}
    | {"watchslo_refused_text_total": "counter", "watchslo_web_refused_total": "counter"}
    | {"watchslo_fault": "gauge", "watchslo_fault_changes_total": "counter"}
    | dict.fromkeys([f"watchslo_pod_startup_{end}_seconds" for end in ("lower", "upper")], "histogram")
    | dict.fromkeys(STARTUP_QUANTILES, "gauge")
    | {"watchslo_pods_starting": "gauge", "watchslo_pod_startups_total": "counter"}
    | {PULL_WATCH_ERRORS: "counter"}
)


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0)
    metrics.resource(**WATCHED)
    metrics.apiserver(WATCHED["apiserver"])
    metrics.cost(WATCHED["apiserver"])
    metrics.clock(**WATCHED, clock="cache")
    metrics.clock(**POLLED, clock="revision")
    return metrics


def seeded(labels: str) -> list[dict[str, str]]:
    """ "a=1,2 b=3" -> every combination as label pairs."""
    names = [part.split("=")[0] for part in labels.split()]
    values = [part.split("=")[1].split(",") for part in labels.split()]
    return [dict(zip(names, combination, strict=True)) for combination in product(*values)]


def buckets_of(name: str, labels: dict[str, str], bounds: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    series = {(f"{name}_bucket", frozenset({**labels, "le": bound}.items())) for bound in bounds.split()}
    return series | {(f"{name}_sum", frozenset(labels.items())), (f"{name}_count", frozenset(labels.items()))}


def test_a_scrape_has_exactly_the_promised_families_with_their_types(metrics: Metrics) -> None:
    typed = [line.split()[2:] for line in text_of(metrics).splitlines() if line.startswith("# TYPE ")]
    assert sorted(typed) == sorted([name, kind] for name, kind in ALL_TYPES.items())


def test_families_are_there_before_any_resource_is_watched() -> None:
    text = text_of(Metrics(threshold_seconds=1.0, objective_ratio=0.99, window_seconds=60.0))
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")} == set(ALL_TYPES)


def test_starts_of_pods_have_series_only_where_they_are_followed(metrics: Metrics) -> None:
    before = samples_in(text_of(metrics))
    startup = metrics.startup(WATCHED["apiserver"])
    of_it = {"apiserver": WATCHED["apiserver"]}
    expected = {("watchslo_pods_starting", frozenset(of_it.items()))}
    for labels in seeded(STARTUP_STAGES):
        for end in ("lower", "upper"):
            expected |= buckets_of(f"watchslo_pod_startup_{end}_seconds", {**of_it, **labels}, STARTUPS)
    for labels in seeded(STARTUP_RESULTS):
        expected.add(("watchslo_pod_startups_total", frozenset({**of_it, **labels}.items())))
    for labels in seeded(f"{COUNTERS[STARTS]},relist,undecodable"):
        expected.add((PULL_WATCH_ERRORS, frozenset({**of_it, **labels}.items())))
    added = samples_in(text_of(metrics)).keys() - before.keys()
    with_pods = {key for key in added if key[0].startswith("watchslo_pod")}
    assert with_pods == expected
    startup.counts.results["sli"] += 1
    text = text_of(metrics)
    assert 'watchslo_pod_startups_total{apiserver="10.0.0.1:6443",result="sli"} 1\n' in text
    window = StartupWindow()
    window.add("total", Interval(4.0, 4.5), 0.0)
    pods = metrics.resource(WATCHED["apiserver"], "", "pods")
    pods.state = replace(pods.state, pod_startup=StartupState(startup.counts, window.quantiles(0.0), starting=7))
    text = text_of(metrics)
    assert 'watchslo_pods_starting{apiserver="10.0.0.1:6443"} 7\n' in text
    assert "watchslo_pod_startup_p99_upper_seconds{" in text
    assert (
        'stage="sli"' not in text.partition("# TYPE watchslo_pod_startup_p99_upper_seconds")[2].partition("# HELP")[0]
    )


def test_a_fresh_scrape_has_exactly_the_promised_series(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_texts, "times", dict.fromkeys(REFUSED, 0))  # it is of the process, and tests share one
    expected = {
        (name, frozenset({**WATCHED, **more}.items())) for name, labels in COUNTERS.items() for more in seeded(labels)
    }
    for name, (labels, bounds) in HISTOGRAMS.items():
        for more in seeded(labels):
            expected |= buckets_of(name, {**WATCHED, **more}, bounds)
    for clock in ({**WATCHED, "clock": "cache"}, {**POLLED, "clock": "revision"}):
        expected |= {
            ("watchslo_clock_polls_total", frozenset({**clock, "result": result}.items())) for result in ("ok", "error")
        }
        expected |= buckets_of("watchslo_clock_poll_seconds", clock, FINE)
    expected |= buckets_of("watchslo_loop_lag_seconds", {}, FINE)
    expected |= {(name, frozenset()) for name in ("watchslo_shard_index", "watchslo_tasks")}
    expected |= {(name, frozenset()) for name in LEFT_OUT}
    expected |= {("watchslo_discovery_errors_total", frozenset(reason.items())) for reason in seeded(COUNTERS[STARTS])}
    expected |= {("watchslo_refused_text_total", frozenset(what.items())) for what in seeded(REFUSED_TEXTS)}
    expected |= {("watchslo_fault_changes_total", frozenset({("fault", fault)})) for fault in FAULTS}
    expected |= {("watchslo_web_refused_total", frozenset(reason.items())) for reason in seeded(WEB_REFUSALS)}
    expected |= {
        (name, frozenset({"apiserver": WATCHED["apiserver"], **purpose}.items()))
        for name in COUNTERS_OF_AN_ADDRESS
        for purpose in seeded(PURPOSES)
    }
    address = {"apiserver": WATCHED["apiserver"]}
    expected.add(("watchslo_stale_reads_total", frozenset(address.items())))
    expected |= {
        ("watchslo_balancers_noticed_total", frozenset({**address, **sign}.items()))
        for sign in seeded("sign=cache,date")
    }
    expected |= {
        ("watchslo_server_metrics_reads_total", frozenset({**address, **result}.items()))
        for result in seeded("result=ok,error,forbidden")
    }
    expected |= {
        ("watchslo_revision_clock", frozenset({**WATCHED, **reads}.items()))
        for reads in seeded("reads=store,another_cache,own_cache")
    }
    nonzero = {
        ("watchslo_revision_clock", frozenset({**WATCHED, "reads": "nothing"}.items())): 1.0,
        ("watchslo_slo_state", frozenset({**WATCHED, "state": "quiet"}.items())): 1.0,
        ("watchslo_date_evidence_enabled", frozenset({("apiserver", WATCHED["apiserver"])})): 1.0,
        ("watchslo_threshold_seconds", frozenset[tuple[str, str]]()): 1.0,
        ("watchslo_objective_ratio", frozenset[tuple[str, str]]()): 0.99,
        ("watchslo_shards", frozenset[tuple[str, str]]()): 1.0,
        ("watchslo_build_info", frozenset({("version", metrics.version)})): 1.0,
    }
    expected |= {
        ("watchslo_slo_state", frozenset({**WATCHED, "state": state}.items()))
        for state in ("met", "violated", "unknown")
    }
    expected |= {(name, frozenset(WATCHED.items())) for name in GAUGES_FROM_THE_START}
    assert samples_in(text_of(metrics)) == dict.fromkeys(expected, 0.0) | nonzero


def test_gauges_without_a_value_are_absent_until_they_have_one(metrics: Metrics) -> None:
    watched = metrics.resource(**WATCHED)
    window = replace(EMPTY, p99_seconds=0.25, p99_lower_seconds=0.25, p99_upper_seconds=0.25)
    refresh(watched, window=window, last_activity=0.25)
    written = samples_in(text_of(metrics))
    assert [written[name, frozenset(WATCHED.items())] for name in GAUGES_WHEN_KNOWN] == [0.25] * 4
    refresh(watched, window=EMPTY)
    assert ("watchslo_p99_seconds", frozenset(WATCHED.items())) not in samples_in(text_of(metrics))


def test_a_fault_has_series_from_when_it_is_found_until_its_place_is_gone(metrics: Metrics) -> None:
    place = ("cache_behind", WATCHED["apiserver"], "", "pods")
    metrics.fault(*place)["shown"].set(1)
    metrics.fault(*place)["suspected"].set(0)
    labels = {"apiserver": WATCHED["apiserver"], "group": "", "resource": "pods", "fault": "cache_behind"}
    found = {key: value for key, value in samples_in(text_of(metrics)).items() if key[0] == "watchslo_fault"}
    assert found == {
        ("watchslo_fault", frozenset({**labels, "certainty": "shown"}.items())): 1.0,
        ("watchslo_fault", frozenset({**labels, "certainty": "suspected"}.items())): 0.0,
    }
    metrics.remove_apiserver(WATCHED["apiserver"])
    assert not [key for key in samples_in(text_of(metrics)) if key[0] == "watchslo_fault"]
    assert metrics.fault(*place)["shown"].value is None


def test_users_of_an_audit_log_come_and_go_with_their_totals(metrics: Metrics) -> None:
    totals = {("storm", "list", "pods"): Total(2.5, 3), ("", "get", 'a"b'): Total(0.5, 1)}
    metrics.read_audit(totals)

    def written() -> dict[tuple[str, ...], float]:
        return {
            (name, *(dict(labels).get(label, "") for label in ("user", "verb", "resource"))): value
            for (name, labels), value in samples_in(text_of(metrics)).items()
            if name in AUDITED
        }

    assert written() == {
        (AUDITED[0], "storm", "list", "pods"): 2.5,
        (AUDITED[1], "storm", "list", "pods"): 3,
        (AUDITED[0], "", "get", 'a"b'): 0.5,
        (AUDITED[1], "", "get", 'a"b'): 1,
    }
    totals["storm", "list", "pods"].add(1)
    del totals["", "get", 'a"b']
    assert written() == {(AUDITED[0], "storm", "list", "pods"): 3.5, (AUDITED[1], "storm", "list", "pods"): 4}


def test_clock_offsets_carry_only_the_label_apiserver(metrics: Metrics) -> None:
    metrics.apiserver(WATCHED["apiserver"]).clock_offset_lower.set(-0.5)
    metrics.apiserver(WATCHED["apiserver"]).clock_offset_upper.set(0.5)
    written = samples_in(text_of(metrics))
    apiserver = frozenset({("apiserver", WATCHED["apiserver"])})
    assert written["watchslo_clock_offset_lower_seconds", apiserver] == -0.5
    assert written["watchslo_clock_offset_upper_seconds", apiserver] == 0.5


def test_a_threshold_between_the_buckets_becomes_a_bucket_of_the_latency_histograms_alone() -> None:
    metrics = Metrics(threshold_seconds=3, objective_ratio=0.99, window_seconds=60.0)
    metrics.resource(**WATCHED)
    with_it = {name.removesuffix("_bucket") for name, labels in samples_in(text_of(metrics)) if ("le", "3.0") in labels}
    assert with_it == {name for name, (_, bounds) in HISTOGRAMS.items() if bounds == SPANS}


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES:
        assert family.name.startswith("watchslo_")
        assert family.name.endswith("_total") == (family.type == "counter"), family.name
        assert bool(family.bounds) == (family.type == "histogram"), family.name
        assert family.name.endswith("_seconds") or family.type != "histogram", family.name
        assert not {"namespace", "pod", "service", "job", "instance", "cluster"} & set(family.labels), family.name


def test_help_texts_are_sentences_that_need_no_escaping() -> None:
    for family in FAMILIES:
        assert family.help[0].isupper(), family.help
        assert family.help.endswith("."), family.help
        assert not set(family.help) & {"\\", "\n", "|"}, family.help


def test_help_texts_say_what_a_number_cannot_tell() -> None:
    helps = {name: family.documentation for name, family in families_in(text_of(Metrics(1, 0.99, 60))).items()}
    assert "resolves nothing below half a poll period" in helps["watchslo_apiserver_time_span_seconds"]
    assert "middle of its certain bounds" in helps["watchslo_apiserver_time_span_seconds"]
    assert "an informer needs a full LIST" in helps["watchslo_relist_seconds"]
    assert "left out of the sum" in helps["watchslo_apiserver_time_span_upper_seconds"]


def test_the_reference_has_a_row_for_every_family() -> None:
    rows = reference_markdown().partition("\n\n")[0].splitlines()
    assert rows[0] == "| family | type | labels | meaning |"
    assert [row.split("`")[1] for row in rows[2:]] == [family.name for family in FAMILIES]
    assert {row.count("|") for row in rows} == {5}
    (judged,) = [row for row in rows if row.startswith("| `watchslo_events_judged_total` ")]
    assert "| counter | `apiserver`, `group`, `resource`, `verdict` (on_time, late, ambiguous) |" in judged
    (relist,) = [row for row in rows if row.startswith("| `watchslo_relist_seconds` ")]
    assert relist.endswith("Buckets: 0.1 0.5 1 2 5 10 30 60 inf. |")


def test_the_reference_names_the_label_of_the_version() -> None:
    assert "| `watchslo_build_info` | gauge | `version` |" in reference_markdown()
