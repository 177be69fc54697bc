from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.simulator.objects import adds_or_changes, merge_patch

LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
WITHOUT_NULL = st.booleans() | st.integers() | st.text(max_size=3)

at_any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.sampled_from("abc")
    return st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(leaves, max_size=3))


@at_any_speed
@given(trees(WITHOUT_NULL), trees(LEAVES))
def test_patching_twice_is_patching_once(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@at_any_speed
@given(trees(WITHOUT_NULL), trees(WITHOUT_NULL))
def test_patch_that_only_adds_is_found_in_the_result(target: Any, patch: Any) -> None:
    assert not adds_or_changes(merge_patch(target, patch), patch)


@at_any_speed
@given(trees(WITHOUT_NULL))
def test_nothing_changes_from_itself(tree: Any) -> None:
    assert not adds_or_changes(tree, tree)


@at_any_speed
@given(st.dictionaries(st.text(max_size=3), trees(WITHOUT_NULL)), st.sets(st.text(max_size=3)))
def test_removing_fields_adds_nothing(tree: dict[str, Any], removed: set[str]) -> None:
    assert not adds_or_changes(tree, {field: value for field, value in tree.items() if field not in removed})


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        ({"finalizers": ["a", "b"]}, {"finalizers": ["a"]}, False),
        ({"finalizers": ["a"]}, {"finalizers": []}, False),
        ({"data": {"a": "1"}}, {"data": {}}, False),
        ({"data": {"a": "1"}}, {"data": {"a": "2"}}, True),
        ({"data": {"a": "1"}}, {"data": {"b": "1"}}, True),
        ({"finalizers": ["a"]}, {"finalizers": ["a", "b"]}, True),
        ({"finalizers": ["a", "b"]}, {"finalizers": ["b", "a"]}, False),
        ({"replicas": 1}, {"replicas": {"wanted": 1}}, True),
    ],
)
def test_which_writes_move_a_stamp(before: Any, after: Any, moves: bool) -> None:  # noqa: FBT001 - a parameter of the test, never passed by hand
    assert adds_or_changes(before, after) is moves
