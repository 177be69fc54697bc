"""The page over a real socket, and what it is made of."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from math import inf
from pathlib import Path
from typing import Any

import aiohttp
import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.config import ListenAddress
from exporter.diagnosis.findings import Finding
from exporter.diagnosis.words import (
    CERTAINTY_MEANINGS,
    CERTAINTY_WORDS,
    CLOCK_WORDS,
    CONDITION_WORDS,
    DOCS,
    DOUBT_WORDS,
    END_WORDS,
    FAULT_WORDS,
    INTERRUPTED_WORDS,
    RELIST_WORDS,
    SOURCE_WORDS,
    START_WORDS,
    WHOSE,
)
from exporter.history.recording import History
from exporter.measure.coverage import Hole
from exporter.measure.late_objects import LateObject
from exporter.measure.stream_state import CanaryTrouble, Fading, Interruptions, RevisionClockState, StreamState, Trouble
from exporter.measure.times import Interval
from exporter.metrics.registry import Metrics
from exporter.vocabulary import (
    CERTAINTIES,
    CLOCK_READS,
    DOUBTS,
    END_REASONS,
    FAULTS,
    RELIST_REASONS,
    SOURCES,
    START_REASONS,
)
from exporter.web import http
from exporter.web.connections import Limits, WebServer
from exporter.web.page import document, plot
from exporter.web.page.body import QUERIES, body
from exporter.web.page.cards import finding
from exporter.web.page.live import Page
from exporter.web.page.look import Look, Scenarios
from exporter.web.page.row import Drawn, row_id, summary
from exporter.web.page.startup import startup as section
from tests.support.states import counts, look, startup, state
from tests.support.steps import at_once
from tests.support.waiting import wait_until

NOW = 1_700_000_000.0
LATE = state("pods", "violated", (2.1, 2.4), since=NOW - 600)
FINE = state("nodes")


class Parsed(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, list(attributes)) for tag, attributes in self.tags]


def recorded(*states: StreamState, at: float = NOW - 1) -> History:
    history = History()
    for _ in history.record(at, states):
        pass
    return history


def parts(shown: Look, drawn: MutableMapping[str, Drawn] | None = None) -> dict[str, str]:
    kept = {} if drawn is None else drawn
    return dict(document.parts(shown, at_once(document.prepared(shown, kept)), kept))


def whole(shown: Look, opened: str | None = None) -> str:
    return "".join(document.page(shown, parts(shown), 1, opened))


def drawn(one: StreamState, shown: Look) -> str:
    return summary(one, shown, at_once(document.prepared(shown, {})).top_seconds, {})


class Shown:
    """What a served page shows, to be changed by a test."""

    def __init__(self, *states: StreamState) -> None:
        self.look = look(*states)
        self.played: list[str] = []
        self.server: WebServer | None = None
        self.url = ""

    def scenarios(self) -> Scenarios:
        return Scenarios({"healthy": "nothing is wrong", "slow-network": "slow"}, "healthy", "healthy")

    def play(self, name: str) -> None:
        self.played.append({"healthy": "healthy", "slow-network": "slow-network"}[name])

    @property
    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.url)


@asynccontextmanager
async def served(shown: Shown, limits: Limits = Limits(), *, is_demo: bool = False) -> AsyncIterator[Shown]:  # noqa: B008
    page = Page(lambda: shown.look, shown if is_demo else None)
    app = http.application(Metrics(1.0, 0.99, 60.0), list, list, page=page)
    shown.server = await http.serve(app, [ListenAddress("127.0.0.1", 0)], limits=limits)
    shown.url = "http://{}:{}".format(*shown.server.addresses[0][:2])
    try:
        yield shown
    finally:
        await shown.server.cleanup()


async def test_the_first_sentence_is_there_without_a_script() -> None:
    async with served(Shown(LATE, FINE)) as shown, shown.session as client, client.get("/") as response:
        text = await response.text()
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    said = Parsed(text).text
    assert "Watches of pods are certainly late on 10.0.0.1:6443 since 22:03 UTC, with a P99 of at least 2.1 s." in said
    assert "Nodes are fine." in said


async def test_the_page_loads_nothing_and_runs_nothing_but_its_own_script() -> None:
    async with served(Shown(LATE)) as shown, shown.session as client, client.get("/") as response:
        text, policy = await response.text(), response.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "form-action 'none'" in policy
    tags = Parsed(text).tags
    assert not {"img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not [attributes for _, attributes in tags if "style" in attributes or "src" in attributes]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    links = [attributes["href"] or "" for tag, attributes in tags if tag in {"a", "link"}]
    assert not [link for link in links if link.startswith(("http", "//"))]


@settings(deadline=None, max_examples=30)
@given(st.text(alphabet="<>&\"'{}a/%", min_size=1))
def test_whatever_others_say_is_text(odd: str) -> None:
    def shown(words: str) -> Look:
        late = LateObject(NOW, "added", words, 7, Interval(1.5, inf), None)
        trouble = Trouble("forbidden", words)
        one = state(words, group=words, apiserver=words, is_up=False, trouble=trouble, late_objects=(late,))
        found = Finding(
            fault="path_slow", certainty="shown", since=NOW, sentence=words, evidence=(words,), excluded=(words,),
            remedy=words, steps=(words,), runbook=words,
        )  # fmt: skip
        history = recorded(one)
        history.record_findings(NOW, [found])
        return look(one, findings=[found], history=history, has_errors=True)

    plain, strange = Parsed(whole(shown("a"))), Parsed(whole(shown(odd)))
    assert strange.shape == plain.shape
    assert odd in strange.text


def test_errors_and_names_are_only_shown_to_those_who_may_read_them() -> None:
    one = state(is_up=False, trouble=Trouble("server_error", "words of others"))
    assert "words of others" not in whole(look(one))
    assert "words of others" in whole(look(one, has_errors=True))
    why = "the apiserver answers with an error of its own (server_error); whether they are late is not known."
    assert f"No watch of pods is open on 10.0.0.1:6443: {why}" in whole(look(one))


def test_a_row_says_what_is_known_of_its_stream() -> None:
    busy = counts({"on_time": 90, "late": 10}, canary_writes=50, canaries_lost=2)
    busy.canary_delivery.observe(0.02, 48)
    busy.ends["early_eof"] += 1
    before = replace(LATE, counts=counts(), since=NOW - 60)
    history = recorded(before, at=NOW - 12)
    for _ in history.record(
        NOW - 2, [replace(before, counts=busy, revision_clock=RevisionClockState("events", "store"))]
    ):
        pass
    row = Parsed(drawn(replace(LATE, counts=busy), look(LATE, history=history))).text
    end = "last end: closed by force"
    for words in ("pods", "10.0.0.1:6443", "late", "2.1\N{EN DASH}2.4 s", end, "2 of 50 lost"):
        assert words in row, row


@pytest.mark.parametrize(("upper", "words"), [(0.5, "\N{PLUS-MINUS SIGN}0.15 s"), (inf, "no bound")])
def test_a_row_says_how_exact_it_is_and_where_nothing_bounds_that(upper: float, words: str) -> None:
    measured = counts({"on_time": 2})
    for end in (0.5, upper):
        measured.interval_width.observe(end - 0.2)
        measured.stage_lower["cache_to_client"].observe(0.2)
        measured.stage_upper["cache_to_client"].observe(end)
    history = recorded(replace(FINE, counts=counts()), at=NOW - 12)
    for _ in history.record(NOW - 2, [replace(FINE, counts=measured)]):
        pass
    row = Parsed(drawn(FINE, look(FINE, history=history))).text
    assert words in row, row
    assert ("0.20\N{EN DASH}0.50 s" if upper < inf else "at least 0.20 s") in row, row


def test_the_steps_of_a_finding_are_listed_and_their_code_is_code() -> None:
    found = Finding(
        fault="path_slow", certainty="shown", since=NOW - 600, sentence="It is.", evidence=(), excluded=(), remedy="",
        steps=('Look at `rate(a{b="<c>"}[1m])` & see.', "Then stop."), runbook="",
    )  # fmt: skip
    page = whole(look(LATE, findings=[found]))
    assert "<dd>Look at <code>rate(a{b=&quot;&lt;c&gt;&quot;}[1m])</code> &amp; see.</dd><dd>Then stop.</dd>" in page


def test_since_the_start_is_said_to_be_no_more_than_that() -> None:
    late = replace(LATE, is_since_start=True)
    found = Finding(
        fault="path_slow", certainty="shown", since=NOW - 600, is_since_start=True, sentence="It is.", evidence=(),
        excluded=(), remedy="", runbook="",
    )  # fmt: skip
    said = Parsed(whole(look(late, findings=[found])))
    assert "late at least since 22:03:20" in said.text
    assert (
        "Confirmed: slow network path this exporter; late: pods. Signs of it at least since 22:03:20, soon" in said.text
    )
    assert [at for _, at in said.tags if "it may be so for longer" in (at.get("title") or "")]
    assert "at least since" not in Parsed(whole(look(LATE, findings=[replace(found, is_since_start=False)]))).text


def test_what_is_interrupted_again_and_again_does_not_look_healthy_with_or_without_a_script() -> None:
    run = Interruptions(12, 2, NOW - 70, is_repeated=True)
    cut = replace(FINE, interruptions=run)
    page = Parsed(whole(look(state("leases"), cut)))
    classes = [at.get("class") for _, at in page.tags]
    assert "first is-interrupted" in classes
    assert "first is-met" not in classes
    assert "interrupted on time, but closed by force 12 times, relisted twice, first at 22:12:10" in page.text
    assert "Watches of nodes on 10.0.0.1:6443 have been closed by force again and again since 22:12 UTC" in page.text
    assert document.in_order([state("a"), cut])[0] is cut
    once = replace(FINE, interruptions=Interruptions(1, 0, NOW - 70))
    page = Parsed(whole(look(once)))
    assert "first is-met" in [at.get("class") for _, at in page.tags]
    assert "resumed where they had ended" in page.text
    late = drawn(replace(LATE, interruptions=run), look(LATE))
    assert "late since 22:03:20 closed by force 12 times, relisted twice, first at 22:12:10" in Parsed(late).text


def test_a_row_that_is_uncertain_says_why() -> None:
    dated = RevisionClockState("events", "store")
    for reason, one in (
        ("bounds too wide", state("pods", "unknown", (0.2, 2.2), revision_clock=dated)),
        ("events are not dated", state("pods", "unknown", (0.2, inf), revision_clock=dated)),
        ("nothing dates events", state("pods", "unknown", (0.2, 2.2))),
    ):
        assert f"uncertain {reason}" in Parsed(drawn(one, look(one))).text
    missing = state("pods", "unknown", revision_clock=dated)
    missing = replace(missing, window=replace(missing.window, hole=Hole(0.0, 5.0, "gone")))
    assert "uncertain history was gone" in Parsed(drawn(missing, look(missing))).text


def test_a_row_says_of_what_only_the_window_still_knows_that_it_is_over_and_when_it_is_forgotten() -> None:
    late = replace(LATE, fading=Fading(None, NOW - 20, NOW + 40))
    parsed = Parsed(drawn(late, look(late)))
    assert "was late since 22:03:20 nothing late since 22:13:00; in the window until 22:14:00" in parsed.text
    assert "state is-violated is-over" in {at.get("class") for _, at in parsed.tags}
    seen = Parsed(drawn(late, look(late, findings=[found(resource=late.resource)])))
    assert "state is-violated" in {at.get("class") for _, at in seen.tags}, "its cause is still seen"
    assert "Every event that was judged since then is certainly on time." in {at.get("title") for _, at in parsed.tags}
    assert "in the window until" not in Parsed(drawn(LATE, look(LATE))).text
    dated = RevisionClockState("events", "store")
    wide = state("pods", "unknown", (0.2, 2.2), revision_clock=dated, fading=late.fading)
    said = "uncertain bounds too wide, the last at 22:13:00; in the window until 22:14:00"
    assert said in Parsed(drawn(wide, look(wide))).text
    away = replace(wide, fading=Fading(NOW - 60, NOW - 20, NOW + 40), since=NOW - 18)
    away = replace(away, window=replace(wide.window, hole=Hole(0.0, 5.0, "not_watched")))
    said = "uncertain no watch was open 22:12:20\N{EN DASH}22:13:00; in the window until 22:14:00"
    assert said in Parsed(drawn(away, look(away))).text


def test_only_a_p99_that_is_certain_looks_so() -> None:
    def kinds(one: StreamState) -> set[str | None]:
        return {at.get("class") for _, at in Parsed(drawn(one, look(one))).tags}

    assert "cell p99" in kinds(LATE) & kinds(FINE)
    unsure = kinds(state("pods", "unknown", (0.2, 2.2)))
    assert "cell p99 unsure" in unsure
    assert "cell p99" not in unsure
    assert ".p99:is(.old, .unsure) .figure { font-weight: 400;" in document.STYLE


def test_every_state_colours_the_edge_of_its_row_and_is_in_the_legend() -> None:
    legend = plot.legend(1.0)
    for condition, word in CONDITION_WORDS.items():
        assert f"> .state.is-{condition}) {{ --edge:" in document.STYLE
        assert f'<i class="of-{condition}"></i>{word}' in legend
    assert "interrupted: on time, but closed by force or relisted again and again" in legend


def test_the_page_says_whose_watches_it_shows_before_it_says_anything_of_them() -> None:
    said = Parsed(whole(look(FINE))).text
    assert WHOSE.startswith("This exporter's own watches, opened as any client opens them")
    assert 0 < said.index(WHOSE) < said.index("All watches are on time")


def found(**more: Any) -> Finding:
    fields: dict[str, Any] = {
        "fault": "connection_dropped", "certainty": "shown", "since": NOW - 60, "sentence": "It was dropped.",
        "evidence": ("it is silent",), "excluded": (), "remedy": "", "runbook": "",
    }  # fmt: skip
    return Finding(**{**fields, **more})


def test_a_card_says_what_it_is_about_and_not_what_the_sentence_has_said() -> None:
    def cards(*findings: Finding) -> str:
        return Parsed(parts(look(LATE, FINE, findings=findings))["findings"]).text

    of_pods = found(apiserver=LATE.apiserver, resource="pods")
    assert cards(of_pods).startswith("Confirmed: dropped connection pods on 10.0.0.1:6443. Signs of it since 22:12:20")
    assert of_pods.sentence not in cards(of_pods)
    assert f"Found{of_pods.sentence}" in Parsed("".join(body(LATE, look(LATE, findings=[of_pods])))).text
    many = [replace(of_pods, fault=one, sentence=f"It is {one}.") for one in FAULTS[:5]]
    assert "FoundIt is list_storm." not in cards(*many)
    assert "FoundIt is initial_events_burst." not in cards(*many[:3])
    assert f"FoundIt is {FAULTS[4]}." in cards(*many), "the sentence has no room for it"

    of_all = replace(of_pods, fault="store_slow", certainty="suspected", resource="")
    assert cards(of_all).startswith("Suspected: slow store (etcd) 10.0.0.1:6443; late: pods. Signs of it")
    assert cards(replace(of_pods, fault="unknown_cause", certainty="suspected")).startswith("Unknown cause pods on")


def test_what_explains_what_is_over_stays_as_long_as_that_in_sentence_card_and_row() -> None:
    past = found(apiserver=LATE.apiserver, resource="pods", seen_until=NOW - 30)
    over = replace(LATE, fading=Fading(None, NOW - 20, NOW + 40))
    for one, is_told in ((over, True), (LATE, False)):
        shown = look(one, past_findings=[past])
        made = parts(shown)
        assert ("not since: It was dropped." in made["sentence"]) == is_told
        for html in (made["findings"], "".join(body(one, shown))):
            assert ('class="finding is-over"' in html) == is_told


def test_a_card_of_what_is_seen_no_more_says_until_when_it_was_and_is_no_alarm() -> None:
    seen = found(evidence=("it was silent",), steps=("Look there.",))
    html = finding(replace(seen, seen_until=NOW - 10), look(FINE), is_open=False, says=True)
    card = Parsed(html)
    assert "Signs of it since 22:12:20, until 22:13:10" in card.text
    assert "Seen until 22:13 UTC, not since: It was dropped." in card.text
    now = finding(seen, look(FINE), is_open=False, says=True)
    for then, heading in (("Seen then", "Because"), ("If it returns", "Do")):
        assert (f"<dt>{then}</dt>" in html, f"<dt>{heading}</dt>" in html) == (True, False)
        assert (f"<dt>{then}</dt>" in now, f"<dt>{heading}</dt>" in now) == (False, True)
    assert "finding is-over" in [at.get("class") for _, at in card.tags]
    tooltip = 'fault="connection_dropped", certainty="shown": seen from outside, and confirmed by a fact'
    assert tooltip in [at.get("title") for _, at in card.tags]
    assert CERTAINTY_WORDS.keys() == CERTAINTY_MEANINGS.keys() == set(CERTAINTIES)


def test_the_edge_of_a_sentence_that_names_a_fault_is_not_that_of_health() -> None:
    def kind(one: StreamState, *findings: Finding) -> str:
        return parts(look(one, findings=findings))["sentence"].partition('"')[2].partition('"')[0]

    assert kind(FINE) == kind(FINE, found(seen_until=NOW - 10)) == "first is-met"
    assert kind(FINE, found()) == "first is-unknown"
    over = replace(LATE, fading=Fading(None, NOW - 20, NOW + 40))
    assert [kind(one) for one in (LATE, over)] == ["first is-violated", "first is-violated is-over"]
    assert kind(over, found()) == "first is-violated"


def test_beside_what_is_uncertain_stands_what_to_do_once_for_each_reason_with_its_runbook() -> None:
    dark = [state(name, "unknown", (0.2, 2.2)) for name in ("pods", "nodes")]
    wide = replace(dark[0], resource="leases", revision_clock=RevisionClockState("events", "store"))
    top = Parsed(parts(look(*dark, wide, FINE))["findings"])
    assert top.text.count("Run watchslo check: it says which polls would date them") == 1
    assert top.text.count("Bounds are as wide as polls are slow") == 1
    links = [at["href"] or "" for tag, at in top.tags if tag == "a"]
    assert len(links) == 2
    for name in links:
        assert (Path(__file__).parents[3] / "docs" / name.removeprefix(DOCS)).is_file()
    assert parts(look(FINE))["findings"] == ""
    assert DOUBT_WORDS.keys() == set(DOUBTS)


def test_what_is_interrupted_has_its_meaning_advice_and_runbook_as_well() -> None:
    for run, name in ((Interruptions(3, 0, NOW, is_repeated=True), "forced_closes"),
                      (Interruptions(1, 2, NOW, is_repeated=True), "relists")):  # fmt: skip
        cut = replace(FINE, interruptions=run)
        words = INTERRUPTED_WORDS[name]
        for html in (parts(look(cut, cut))["findings"], "".join(body(cut, look(cut)))):
            card = Parsed(html)
            assert card.text.count(f"Interrupted, {words.short}: {words.advice} Runbook") == 1
            assert words.runbook in [at.get("href") for _, at in card.tags]
        assert (Path(__file__).parents[3] / "docs" / words.runbook.removeprefix(DOCS)).is_file()
    once = replace(FINE, interruptions=Interruptions(1, 0, NOW))
    assert parts(look(once))["findings"] == ""


def test_every_value_of_a_label_is_said_in_words_and_stands_beside_them() -> None:
    for words, values in (
        (END_WORDS, END_REASONS),
        (START_WORDS, START_REASONS),
        (RELIST_WORDS, RELIST_REASONS),
        (SOURCE_WORDS, SOURCES),
        (CLOCK_WORDS, CLOCK_READS),
        (FAULT_WORDS, FAULTS),
    ):
        assert words.keys() == set(values)
        assert not [said for said in words.values() if "_" in said]
    ended = counts(ends=dict.fromkeys(END_REASONS, 1), relists=dict.fromkeys(RELIST_REASONS, 1))
    said = Parsed("".join(body(replace(FINE, counts=ended), look(FINE)))).text
    assert "closed by force (early_eof)1" in said
    assert "the history from which to go on was gone (gone)1" in said


def test_a_row_has_no_word_that_only_we_know() -> None:
    ended = recorded(FINE, at=NOW - 2)
    counted = counts(ends={**FINE.counts.ends, "transport_error": 1})
    one = replace(FINE, counts=counted, revision_clock=RevisionClockState("events", "own_cache"))
    for _ in ended.record(NOW - 1, [one]):
        pass
    parsed = Parsed(drawn(one, look(one, history=ended)))
    for words in ("last end: the connection broke", "dated by its own watch cache", "none set up"):
        assert words in parsed.text
    tooltips = [at["title"] or "" for _, at in parsed.tags if "title" in at]
    assert "The whole bar is 1 s, or all of the time if that is longer." in tooltips
    assert {"key-store", "key-client"} <= {at.get("class") for _, at in parsed.tags}, "the legend is in the row as well"
    assert 'reason="transport_error"' in tooltips
    assert [said for said in tooltips if said.endswith('whose lag stays hidden (reads="own_cache")')]
    assert not {"transport_error", "own_cache"} & set(re.findall(r"\w+", parsed.text))


def test_a_plot_stays_in_its_frame_however_old_the_last_step_is() -> None:
    history = History()
    for second in range(1_000):
        for _ in history.record(NOW - 1_000 + second, [FINE]):
            pass
    row = drawn(FINE, look(FINE, history=history, now=NOW + 9))
    assert re.findall(r'class="of-met" d="M(-?[0-9.]+)', row) == ["0.0"]


def test_the_plots_of_all_rows_have_one_scale_whose_top_and_threshold_are_labelled() -> None:
    for highest, top, line in ((0.2, 2, 20), (3.0, 5, 32), (4.9, 5, 32), (5.1, 10, 36), (60.0, 100, 39.6)):
        late = replace(LATE, window=replace(LATE.window, p99_lower_seconds=highest, p99_upper_seconds=inf))
        shown = look(late, FINE, history=recorded(late, FINE))
        rows = [html for name, html in parts(shown).items() if name.startswith("s-")]
        assert [re.findall('class="limit" d="M0 ([0-9.]+)H', row) for row in rows] == [[f"{line:.1f}"]] * 2
        assert [re.findall("<text[^>]*>([^<]*)<", row) for row in rows] == [[f"{top} s", "1 s"]] * 2


def test_a_plot_is_drawn_again_when_the_scale_of_all_has_changed() -> None:
    kept: dict[str, Drawn] = {}
    history = recorded(FINE, at=NOW - 8)
    parts(look(FINE, LATE, history=history), kept)
    before = kept[row_id(FINE)].svg
    for _ in history.record(NOW - 7, [FINE, LATE]):
        pass
    parts(look(FINE, LATE, history=history), kept)
    assert ">2 s<" in before
    assert ">5 s<" in kept[row_id(FINE)].svg


def test_a_lost_canary_or_a_write_that_failed_stands_out_for_a_quarter_of_an_hour() -> None:
    at = NOW - 1
    lost = state(counts=counts(canary_writes=50, canaries_lost=2), canary_trouble=CanaryTrouble("lost", at))
    lost.counts.canary_delivery.observe(0.1, 48)
    failed = state(counts=counts(canary_writes=50, canary_write_failures=3), canary_trouble=CanaryTrouble("failed", at))
    failed.counts.canary_delivery.observe(0.1, 47)
    for one, kind, words in (
        (lost, "violated", "canary lost last at 22:13:19; 2 of 50 lost"),
        (failed, "unknown", "write failed last at 22:13:19; 0 of 47 lost, 3 not written"),
    ):
        row = Parsed(drawn(one, look(one)))
        assert words in row.text
        assert f"cell canary is-{kind}" in [at.get("class") for _, at in row.tags]
        later = Parsed(drawn(one, look(one, now=NOW + 900)))
        assert words not in later.text
        assert words[-10:] in later.text
        assert f"cell canary is-{kind}" not in [at.get("class") for _, at in later.tags]


def test_canaries_that_are_written_through_another_apiserver_are_awaited_here_all_the_same() -> None:
    seen = state(counts=counts())
    seen.counts.canary_delivery.observe(0.1, 48)
    assert "within 0.10 s 0 of 48 lost, written through another apiserver" in Parsed(drawn(seen, look(seen))).text
    lost = state(counts=counts(canaries_lost=2), canary_trouble=CanaryTrouble("lost", NOW - 1))
    row = Parsed(drawn(lost, look(lost)))
    assert "canary lost last at 22:13:19; 2 of 2 lost, written through another apiserver" in row.text
    assert "cell canary is-violated" in [at.get("class") for _, at in row.tags]
    assert "none set up" in Parsed(drawn(FINE, look(FINE))).text


def test_the_p99_of_a_watch_that_is_not_open_looks_old_and_says_how_old_it_is() -> None:
    history = recorded(FINE, at=NOW - 200)
    away = replace(LATE, resource="nodes", is_up=False, trouble=Trouble("connect"), since=NOW - 190)
    for second in range(190, 0, -5):
        for _ in history.record(NOW - second, [away]):
            pass
    row = Parsed(drawn(away, look(away, history=history)))
    assert "last P99 0.05\N{EN DASH}0.12 s, 3 min ago" in row.text
    assert "2.1\N{EN DASH}2.4 s " not in row.text, "what is left in the window is of nobody's now"
    classes = [at.get("class") for _, at in row.tags]
    assert "cell p99 old" in classes
    assert "cell p99" not in classes
    never = Parsed(drawn(away, look(away)))
    assert "last P99" not in never.text
    assert "P99 \N{EN DASH}" in never.text


def test_what_the_plots_mean_is_said_once_and_their_time_beside_each() -> None:
    page = whole(look(FINE, LATE, history=recorded(FINE, LATE)))
    legend = page[page.index('<ul class="legend"') :].partition("</ul>")[0]
    assert page.count('class="legend"') == 1
    said = Parsed(legend).text
    for words in ("from the lower to the upper bound of the P99", "late", "uncertain", "no watch", "threshold, 1 s"):
        assert words in said
    assert page.count("<span>\N{MINUS SIGN}3 min</span><span>now</span>") == 2
    assert page.count('aria-label="P99 of the last 3 minutes: now ') == 2
    used = {kind for rule in re.findall(r"\.legend \.(of-[a-z]+)", document.STYLE) for kind in [rule]}
    assert set(re.findall(r'<i class="([^"]+)"', legend)) == used


def test_without_a_script_the_page_says_that_it_stays_as_it_is() -> None:
    page = whole(look(FINE))
    assert "<noscript>; scripts are off: reload for newer</noscript>" in page
    assert Parsed(page.partition("<noscript>")[0]).text.endswith("as of 22:13:20 UTC")


def test_an_open_row_names_the_late_objects_and_their_stage() -> None:
    late = (
        LateObject(NOW - 3, "deleted", "", 41, Interval(1.2, inf), None),
        LateObject(NOW - 2, "modified", "kube-system/coredns-1", 42, Interval(1.5, 1.7), "storage_to_cache"),
    )
    one = replace(LATE, late_objects=late)
    text = Parsed("".join(body(one, look(one)))).text
    assert "kube-system/coredns-1" in text
    assert "store to cache" in text
    assert "names are read only while events are late" in text
    assert "--web.no-object-names" in Parsed("".join(body(one, look(one, has_names=False)))).text


def test_the_footer_says_which_part_is_seen_and_links_the_others() -> None:
    made = parts(look(FINE))
    alone = Parsed("".join(document.page(look(FINE), made, 1)))
    assert "This page sees every stream that this exporter watches." in alone.text
    peers = ("https://watchslo-1.example.com/page", "http://10.0.0.2:9985")
    page = Parsed("".join(document.page(look(FINE, shard=(0, 3), peers=peers), made, 1)))
    assert "This page sees shard 0 of 3" in page.text
    assert {url for tag, at in page.tags if tag == "a" and (url := at.get("href")) in peers} == set(peers)


@pytest.mark.parametrize("query", [query for _, query in QUERIES])
def test_every_query_is_promql(query: str) -> None:
    promql_parser.parse(query.replace("%s", 'apiserver="a:1", group="", resource="pods"'))


def test_what_is_certainly_in_trouble_comes_first_and_the_rest_stays_in_its_place() -> None:
    states = [state("b", "unknown"), state("a", "met"), state("z", "violated"), state("y", is_up=False)]
    cut = state("c", interruptions=Interruptions(3, 0, NOW, is_repeated=True))
    assert [one.resource for one in document.in_order([*states, cut])] == ["y", "z", "c", "a", "b"]


def test_many_rows_are_opened_one_by_one() -> None:
    many = [state(f"kind{number}") for number in range(200)]
    few, all_ = whole(look(*many[:3])), whole(look(*many))
    assert few.count("As PromQL") == 3
    assert "As PromQL" not in all_
    assert all_.count("Open this row") == 200
    assert whole(look(*many), row_id(many[7])).count("As PromQL") == 1
    assert len(all_) < 700_000


async def test_a_stream_tells_what_changed_and_only_that() -> None:
    async with served(Shown(LATE, FINE)) as shown, shown.session as client:
        async with client.get("/page/stream?since=0") as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            first = await event(response)
            assert {f"s-{row_id(one)}" for one in (LATE, FINE)} < first["parts"].keys()
            shown.look = look(replace(LATE, window=FINE.window), FINE, now=NOW + 2)
            second = await event(response)
            while "sentence" not in second["parts"]:  # it may come before the next rendering
                second = await event(response)
        assert "All watches are on time" in second["parts"]["sentence"]
        assert f"s-{row_id(LATE)}" in second["parts"]
        assert f"s-{row_id(FINE)}" not in second["parts"]
        async with client.get(f"/page/changes?since={first['version']}") as response:
            polled = await response.json()
        assert f"s-{row_id(FINE)}" not in polled["parts"]
        assert "sentence" in polled["parts"]
        assert first["version"] > 2**30, "that is chance"
        for number in (40, first["version"] - 2**25, first["version"] + 2**25, 10**14):
            async with client.get(f"/page/changes?since={number}") as response:
                assert "log" in (await response.json())["parts"], "a version of another process is none of ours"


async def event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    async with asyncio.timeout(20):
        line = await response.content.readline()
        assert await response.content.readline() == b"\n"
    said: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
    return said


async def test_all_who_look_within_a_second_get_the_same_rendering() -> None:
    looks = 0
    shown = Shown(LATE)
    async with served(shown):
        page = Page(lambda: shown.look)

        def counted() -> Look:
            nonlocal looks
            looks += 1
            return shown.look

        page._look = counted
        await asyncio.gather(*[page._current() for _ in range(50)])
        assert looks == 1


async def test_live_pages_have_places_of_their_own_and_scrapes_get_through() -> None:
    limits = Limits(connections=20, requests=2)
    assert limits.streams == 9
    async with served(Shown(LATE), limits) as shown, shown.session as client:
        streams = [await client.get("/page/stream") for _ in range(limits.streams)]
        assert [one.status for one in streams] == [200] * limits.streams
        async with client.get("/page/stream") as refused:
            assert refused.status == 503
        for path in ("/metrics", "/", "/page/changes", "/livez"):
            async with client.get(path) as response:
                assert response.status == 200, path
        streams.pop().close()

        async def is_free() -> bool:
            async with client.get("/page/stream") as response:
                return response.status == 200

        await wait_until(is_free, "the place of a page that was closed is free")
        for one in streams:
            one.close()


async def test_the_server_does_not_wait_for_live_pages_when_it_stops() -> None:
    async with served(Shown(LATE)) as shown, shown.session as client:
        response = await client.get("/page/stream")
        await event(response)
        assert shown.server is not None
        async with asyncio.timeout(4):
            await shown.server.cleanup()
        response.close()


@pytest.mark.parametrize("is_demo", [True, False])
def test_a_demo_says_in_its_head_that_it_is_one(*, is_demo: bool) -> None:
    scenarios = Shown(LATE).scenarios() if is_demo else None
    head, _, _ = whole(replace(look(LATE), scenarios=scenarios)).partition("</header>")
    assert ("simulated apiserver" in head) == is_demo


async def test_only_the_page_of_a_demo_may_switch_its_scenario() -> None:
    async with served(Shown(LATE), is_demo=True) as shown, shown.session as client:
        host = shown.url.removeprefix("http://")
        for headers, status in (
            ({"Origin": "http://elsewhere.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Origin": f"http://{host}"}, 403),
            ({"Sec-Fetch-Site": "same-origin", "Origin": f"http://{host}"}, 303),
            ({}, 303),
        ):
            form = {"scenario": "slow-network"}
            async with client.post("/scenario", data=form, headers=headers, allow_redirects=False) as response:
                assert response.status == status, headers
        assert shown.played == ["slow-network"] * 2
        async with client.post("/scenario", data={"scenario": "no such"}) as response:
            assert response.status == 400
        async with client.get("/scenario") as response:
            assert response.status == 405
    async with served(Shown(LATE)) as shown, shown.session as client:
        async with client.post("/scenario", data={"scenario": "healthy"}) as response:
            assert response.status == 404
        async with client.get("/") as response:
            assert "<form" not in await response.text()


async def test_a_row_that_is_watched_no_more_is_said_to_be_gone() -> None:
    async with served(Shown(LATE)) as shown, shown.session as client:
        async with client.get("/page/row", params={"key": row_id(LATE)}) as response:
            assert "As PromQL" in await response.text()
        async with client.get("/page/row", params={"key": "nothing"}) as response:
            assert response.status == 404


def test_starts_of_pods_have_a_section_where_they_are_followed() -> None:
    without = whole(look(FINE, state("pods")))
    assert "Pod start-up" not in Parsed(without).text
    said = Parsed(whole(look(FINE, state("pods", pod_startup=startup())))).text
    for words in (
        "Of the last 5 minutes, as 10.0.0.1:6443 shows it",
        "scheduled0.20\N{EN DASH}0.71 s",
        "sandbox\N{EN DASH}\N{EN DASH}",
        "SLIat least 1.00 s",
        "starting now3",
        "pods of the SLI, since the start12",
        "of these, pulls not known2 (17%)",
        "other pods, since the start5",
        "share of late watches2.2%\N{EN DASH}15.0%",
    ):
        assert words in said, (words, said)


def test_of_several_apiservers_one_that_is_watched_tells_of_starts() -> None:
    others = [
        state("pods", apiserver=f"10.0.0.{number}:6443", is_up=number > 1, pod_startup=startup())
        for number in (3, 2, 1)
    ]
    said = Parsed(whole(look(*others))).text
    assert "as 10.0.0.2:6443 shows it, one of 3 apiservers that each tell of all pods. SLI: without" in said


def test_nothing_in_the_section_of_starts_comes_or_goes() -> None:
    first, later = (
        Parsed(section(look(state(pod_startup=startup(is_anything_known=one))))).shape for one in (False, True)
    )
    assert first == later
