"""Which share of the requests is in the audit log: of one apiserver, of one of several, of none that tells anything."""

import pytest

from exporter.audit.events import Verb
from exporter.diagnosis.seen import FEWEST_REQUESTS, LEASES, WINDOW_SECONDS, ComparedRequests, LoggedShare, share
from exporter.diagnosis.server_facts import Kind, ServerFacts, Timed

A, B = "a:1", "b:1"
PODS: Kind = ("", "pods")


def told(seconds: float, **per_second: float) -> ServerFacts:
    """An apiserver's metrics of the last seconds, by their verbs."""
    requests = {(verb, PODS): Timed(rate, 0.01, 0.1) for verb, rate in per_second.items()}
    return ServerFacts(seconds=seconds, requests=requests)


class Log:
    """A log that gets so many requests a second, read for some minutes."""

    def __init__(self, **per_second: float) -> None:
        self.compared = ComparedRequests()
        self.now = 0.0
        self.rates = per_second

    def after(self, seconds: float, *apiservers: str, **servers: ServerFacts) -> dict[Verb, LoggedShare]:
        self.now += seconds
        logged: dict[Verb, int] = {verb: int(rate * self.now) for verb, rate in self.rates.items()}  # type: ignore[misc]
        return self.compared.compare(self.now, logged, apiservers, servers)


def test_each_verb_has_its_share() -> None:
    log = Log(list=10, update=1)
    log.after(0, "a")
    seen = log.after(60, "a", a=told(60, LIST=10, PUT=4, GET=2, WATCH=50, CONNECT=1))
    assert seen == {"list": LoggedShare(10, 10), "update": LoggedShare(1, 4), "get": LoggedShare(0, 2)}
    assert share(seen, {"list"}) == 1
    assert share(seen, {"update", "get"}) == pytest.approx(1 / 6)


def test_a_patch_is_one_by_whatever_name_and_leases_are_not_counted() -> None:
    log = Log(patch=5)
    log.after(0, "a")
    facts = ServerFacts(
        seconds=60,
        requests={
            ("PATCH", PODS): Timed(3, 0.1, 1),
            ("APPLY", PODS): Timed(2, 0.1, 1),
            ("PATCH", LEASES): Timed(100, 0.1, 1),
        },
    )
    assert log.after(60, "a", a=facts) == {"patch": LoggedShare(5, 5)}


def test_the_log_of_one_of_three_apiservers_has_a_third() -> None:
    log = Log(list=10)
    log.after(0, "a", "b", "c")
    assert log.after(60, "a", "b", "c", a=told(60, LIST=10), b=told(55, LIST=12)) == {}  # the third one tells nothing
    seen = log.after(2, "a", "b", "c", c=told(60, LIST=8))
    assert share(seen, {"list"}) == pytest.approx(1 / 3, abs=0.02)


def test_one_reading_counts_once_however_often_it_is_looked_at() -> None:
    log = Log(list=10)
    log.after(0, "a")
    facts = told(60, LIST=20)
    first = log.after(60, "a", a=facts)
    log.rates["list"] = 600 / 90  # nothing more is logged
    assert log.after(30, "a", a=facts) == first == {"list": LoggedShare(10, 20)}


def test_what_was_before_the_log_was_read_does_not_count() -> None:
    log = Log(list=10)
    assert log.after(0, "a", a=told(60, LIST=100)) == {}
    assert log.after(60, "a", a=told(60, LIST=10)) == {"list": LoggedShare(10, 10)}


def test_an_apiserver_that_began_anew_says_nothing() -> None:
    log = Log(list=10)
    log.after(0, "a")
    assert log.after(60, "a", a=ServerFacts(seconds=60)) == {}


def test_of_few_requests_no_share_is_told() -> None:
    log = Log()
    log.after(0, "a")
    assert log.after(60, "a", a=told(60, LIST=0.9 * FEWEST_REQUESTS / 60, GET=FEWEST_REQUESTS / 60)).keys() == {"get"}


def test_old_minutes_and_apiservers_that_went_are_forgotten() -> None:
    log = Log(list=10)
    log.after(0, "a", "b")
    log.after(60, "a", "b", a=told(60, LIST=40), b=told(60, LIST=40))
    assert share(log.after(2, "a"), {"list"}) == pytest.approx(0.25, abs=0.01)
    for _ in range(5):
        seen = log.after(WINDOW_SECONDS / 4, "a", a=told(WINDOW_SECONDS / 4, LIST=10))
    assert share(seen, {"list"}) == pytest.approx(1, abs=0.01)
    assert log.after(WINDOW_SECONDS, "a") == {}
    assert len(log.compared._logged) <= 6


def test_there_is_never_more_in_the_log_than_there_is() -> None:
    assert share({"list": LoggedShare(12, 10)}, {"list"}) == 1
    assert share({"list": LoggedShare(12, 10)}, {"update"}) is None
