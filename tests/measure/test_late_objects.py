from exporter.measure.dating import Dated
from exporter.measure.events import Event, EventDecoder
from exporter.measure.judging import Judgement
from exporter.measure.late_objects import MOST_KEPT, LateObjects
from exporter.measure.stages import Stages
from exporter.measure.times import Interval

FAST, SLOW, UNSURE = Interval(0.0, 0.1), Interval(1.5, 1.9), Interval(0.0, 2.0)


def late(*events: Event) -> Judgement:
    commit = Interval(100.0, 100.2)
    return Judgement(events[0], 102.0, Interval(101.9, 102.0), Dated(commit, (), ()), Interval(1.7, 2.0), "late")


def test_the_newest_are_kept_however_many_come() -> None:
    kept = LateObjects()
    for first in range(0, 1_000, 100):
        batch = [Event("modified", first + number, name=f"ns/{first + number}") for number in range(100)]
        kept.add(late(*batch), batch, None, wall_ahead=1_000.0)
    newest = kept.newest()
    assert [one.revision for one in newest] == list(range(1_000 - MOST_KEPT, 1_000))
    assert newest[-1].name == "ns/999"
    assert newest[-1].at == 1_102.0
    assert newest[-1].latency == (1.7, 2.0)


def test_the_slowest_stage_is_named_only_where_that_is_certain() -> None:
    kept, event = LateObjects(), Event("added", 7)
    for stages in (Stages(SLOW, FAST), Stages(FAST, SLOW), Stages(SLOW, UNSURE), None):
        kept.add(late(event), [event], stages, wall_ahead=0.0)
    assert [one.slowest for one in kept.newest()] == ["storage_to_cache", "cache_to_client", None, None]


def named(namespace: str = '"namespace":"kube-system",', name: str = "coredns-1") -> bytes:
    line = '{"type":"MODIFIED","object":{"metadata":{"name":"%s",%s"resourceVersion":"7","uid":"u"}}}'
    return (line % (name, namespace)).encode()


def test_names_are_read_only_while_they_are_asked_for() -> None:
    decoder = EventDecoder()
    assert decoder.decode(named()) == Event("modified", 7, "u")
    decoder.reads_names = True
    assert decoder.decode(named()) == Event("modified", 7, "u", name="kube-system/coredns-1")
    assert decoder.decode(named(namespace="")) == Event("modified", 7, "u", name="coredns-1")
    decoder.reads_names = False
    assert decoder.decode(named()) == Event("modified", 7, "u")


def test_a_name_that_nobody_can_have_is_left_out_and_counted() -> None:
    decoder = EventDecoder()
    decoder.reads_names = True
    assert decoder.decode(named(name="x" * 254)) == Event("modified", 7, "u", name="kube-system/")
    assert decoder.refused == {"name": 1}
