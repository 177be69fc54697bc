"""Which apiservers rest after canaries that were not written, and what is said of them."""

from exporter.kubernetes.errors import StartError
from exporter.kubernetes.session import Server
from exporter.service.canary import Failures

ONE, OTHER = (Server(f"https://10.0.0.{number}:6443", is_one_apiserver=True) for number in (1, 2))
REFUSED, FORBIDDEN = StartError("throttled", "later", 30.0), StartError("forbidden", "no")


def test_each_cause_is_said_once_for_each_apiserver_until_a_write_succeeds() -> None:
    failures = Failures()
    assert failures.failed(ONE, REFUSED, 0.0)
    assert failures.failed(OTHER, FORBIDDEN, 0.0)
    assert not failures.failed(ONE, REFUSED, 200.0)
    assert not failures.failed(OTHER, FORBIDDEN, 200.0)
    assert failures.failed(OTHER, REFUSED, 400.0)
    failures.succeeded(OTHER)
    assert not failures.failed(ONE, REFUSED, 600.0)
    assert failures.failed(OTHER, REFUSED, 600.0)


def test_an_apiserver_rests_as_long_as_it_asks_for_and_others_do_not() -> None:
    failures = Failures()
    failures.failed(ONE, REFUSED, 100.0)
    assert failures.rests(ONE, 129.0)
    assert not failures.rests(OTHER, 129.0)
    assert not failures.rests(ONE, 131.0)


def test_an_apiserver_that_is_gone_is_forgotten() -> None:
    failures = Failures()
    failures.failed(ONE, REFUSED, 100.0)
    failures.failed(OTHER, REFUSED, 100.0)
    failures.keep([OTHER])
    assert not failures.rests(ONE, 101.0), "it may have come back as another one"
    assert failures.rests(OTHER, 101.0)
    assert failures.failed(ONE, REFUSED, 102.0)
