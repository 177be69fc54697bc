"""Which of several exporters watches what: each pair falls to exactly one, and a new one takes only its own part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.shard import ALL, Shard

NAMES = st.tuples(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))


@given(NAMES, st.integers(1, 20))
def test_everything_falls_to_exactly_one(names: tuple[str, str, str], count: int) -> None:
    assert sum(Shard(index, count).owns(*names) for index in range(count)) == 1
    assert ALL.owns(*names)


@given(NAMES, st.integers(1, 20))
def test_one_more_takes_over_and_moves_nothing_between_the_others(names: tuple[str, str, str], count: int) -> None:
    before = next(index for index in range(count) if Shard(index, count).owns(*names))
    after = next(index for index in range(count + 1) if Shard(index, count + 1).owns(*names))
    assert after in {before, count}


def test_the_parts_are_about_equal() -> None:
    pairs = [(f"10.0.0.{host}:6443", "example.com", f"kind{kind}") for host in range(5) for kind in range(60)]
    parts = [sum(Shard(index, 3).owns(*pair) for pair in pairs) for index in range(3)]
    assert sum(parts) == len(pairs)
    assert min(parts) > 75


def test_a_pod_of_a_stateful_set_knows_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "watchslo-2")
    assert Shard.parse("auto/3") == Shard(2, 3)
    with pytest.raises(ValueError, match="number 2 is not among 2"):
        Shard.parse("auto/2")
    monkeypatch.setattr("socket.gethostname", lambda: "build-machine")
    with pytest.raises(ValueError, match='the host name "build-machine" does not end with a number'):
        Shard.parse("auto/2")
