"""What is inferred from sequences of requests, and what is not."""

from tests.audit.lines import Json, listed, watched
from tests.audit.reports import only_client

T = "allowWatchBookmarks=true&timeoutSeconds=400"


def inferred(events: list[Json]) -> dict[str, dict[str, float]]:
    counts = only_client(events).counts
    return {what: counts[what] for what in ("relists", "inferred") if what in counts}


def informer_start() -> list[Json]:
    return [
        *listed("limit=500&resourceVersion=0", at=0),
        *watched(f"{T}&resourceVersion=10", at=1, lasts=400),
    ]


def test_an_informer_that_resumes_at_each_timeout_has_only_started() -> None:
    events = informer_start()
    for number in range(1, 5):
        events += watched(f"{T}&resourceVersion={number}0", at=1 + 401 * number, lasts=400)
    assert inferred(events) == {"inferred": {"informers started": 1}}


def test_a_stream_that_ends_early_and_is_resumed_was_broken() -> None:
    events = [
        *listed("limit=500&resourceVersion=0", at=0),
        *watched(f"{T}&resourceVersion=10", at=1, lasts=30),
        *watched(f"{T}&resourceVersion=20", at=32, lasts=None),
    ]
    assert inferred(events)["inferred"] == {"informers started": 1, "broken streams": 1}


def test_a_stream_that_ends_early_and_is_not_resumed_was_perhaps_closed_by_its_client() -> None:
    events = [*listed("limit=500&resourceVersion=0", at=0), *watched(f"{T}&resourceVersion=10", at=1, lasts=30)]
    assert inferred(events) == {"inferred": {"informers started": 1}}


def test_a_watch_that_ends_at_once_and_a_list_from_its_revision_are_lost_history() -> None:
    events = [
        *informer_start(),
        *watched(f"{T}&resourceVersion=20", at=402, lasts=0.02),
        *listed("resourceVersion=20", at=403),
        *watched(f"{T}&resourceVersion=90", at=404, lasts=None),
    ]
    assert inferred(events)["relists"] == {"gone": 1}


def test_a_watch_that_an_apiserver_took_down_with_itself_has_no_end() -> None:
    events = [
        *listed("limit=500&resourceVersion=0", at=0),
        *watched(f"{T}&resourceVersion=10", at=1, lasts=None),
        *watched(f"{T}&resourceVersion=20", at=30, lasts=0.02),
        *listed("resourceVersion=20", at=31),
        *watched(f"{T}&resourceVersion=90", at=32, lasts=None),
    ]
    assert inferred(events)["relists"] == {"gone": 1}


def test_twins_that_relist_together_are_two() -> None:
    twins: list[Json] = []
    for _ in range(2):
        twins += watched(f"{T}&resourceVersion=20", at=402, lasts=0.02)
        twins += listed("resourceVersion=20", at=403)
        twins += watched(f"{T}&resourceVersion=90", at=404, lasts=None)
    assert inferred([*informer_start(), *informer_start(), *twins])["relists"] == {"gone": 2}


def test_each_streaming_list_with_a_revision_is_a_relist() -> None:
    # client-go relists so as well after a stream that was cut within its first second.
    streaming = f"{T}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    events = [
        *watched(streaming, at=0, lasts=400),
        *watched(f"{T}&resourceVersion=20", at=401, lasts=0.02),
        *watched(f"{streaming}&resourceVersion=20", at=402, lasts=0.5),
        *watched(f"{streaming}&resourceVersion=30", at=403, lasts=400),
        *watched(f"{T}&resourceVersion=99", at=804, lasts=None),
    ]
    assert inferred(events)["relists"] == {"gone": 1, "broken": 1}
    refused = watched(f"{streaming}&resourceVersion=99", at=900, lasts=0.01, code=429)
    assert inferred([*events, *refused])["relists"] == {"gone": 1, "broken": 1}


def test_a_list_that_failed_is_no_relist_and_the_next_one_is() -> None:
    events = [
        *informer_start(),
        *watched(f"{T}&resourceVersion=20", at=402, lasts=0.02),
        *listed("resourceVersion=20", at=403, code=504),
        *listed("limit=500", at=404),
        *listed("limit=500&continue=x", at=405),
        *watched(f"{T}&resourceVersion=90", at=406, lasts=None),
    ]
    assert inferred(events)["relists"] == {"gone": 1}


def test_a_client_without_revisions_relists_after_its_history_was_gone() -> None:
    events = [
        *listed(at=0),
        *watched("timeoutSeconds=400&resourceVersion=10", at=1, lasts=400),
        *watched("timeoutSeconds=400&resourceVersion=20", at=402, lasts=0.02),
        *listed(at=403),
        *watched("timeoutSeconds=400&resourceVersion=90", at=404, lasts=None),
    ]
    assert inferred(events)["relists"] == {"gone": 1}


def test_whoever_lists_then_watches_for_a_moment_again_and_again_relists_nothing() -> None:
    # kubectl wait, of a condition that is there at once
    events: list[Json] = []
    for number in range(10):
        events += listed("fieldSelector=metadata.name%3Dx&limit=500", at=number)
        events += watched("fieldSelector=metadata.name%3Dx&resourceVersion=10", at=number + 0.1, lasts=0.02)
    assert "relists" not in only_client(events).counts


def test_whoever_watches_for_a_while_and_lists_before_it_watches_again_closed_its_watches_itself() -> None:
    # kubectl get --watch, ended by a person
    events: list[Json] = []
    for number in range(10):
        events += listed("limit=500", at=10 * number)
        events += watched("resourceVersion=10", at=10 * number + 0.1, lasts=5)
    assert "broken streams" not in only_client(events).counts.get("inferred", {})


def test_a_revision_in_a_list_is_no_relist_of_a_client_that_never_watches() -> None:
    client = only_client(
        [one for number in range(10) for one in listed(f"resourceVersion={number + 1}", at=30 * number)]
    )
    assert "relists" not in client.counts
    [poll] = client.resources[0].polls
    assert (poll.lists, poll.every_seconds) == (10, 30)


def test_a_log_that_begins_with_the_relist_of_a_client_that_then_watches_has_that_relist() -> None:
    events = [*listed("resourceVersion=20", at=0), *watched(f"{T}&resourceVersion=90", at=1, lasts=None)]
    assert inferred(events) == {"relists": {"unknown": 1}}


def test_processes_behind_one_address_are_told_apart_by_their_pods() -> None:
    one, two = ("one", "uid-1"), ("two", "uid-2")
    events = [
        *listed("limit=500&resourceVersion=0", at=0, pod=one),
        *watched(f"{T}&resourceVersion=10", at=1, lasts=400, pod=one),
        *listed("limit=500&resourceVersion=0", at=370, pod=two),
        *watched(f"{T}&resourceVersion=10", at=371, lasts=30.5, pod=two),  # and no more of it: it has closed it itself
        *watched(f"{T}&resourceVersion=20", at=402, lasts=None, pod=one),
    ]
    client = only_client(events)
    assert client.counts["inferred"] == {"informers started": 2}
    assert (client.pods_count, client.pods) == (2, ("one", "two"))


def test_one_watch_is_one_with_and_without_its_start_in_the_log() -> None:
    both = watched(f"{T}&resourceVersion=10", at=1, lasts=400)
    for events in (both, both[1:], both[:1]):
        assert only_client(events).counts["watches"] == {"resumed": 1}


def test_each_kind_of_list_and_watch_is_named() -> None:
    queries = ("", "limit=500", "limit=500&resourceVersion=0", "resourceVersion=5", "limit=500&continue=x")
    exact = "resourceVersion=5&resourceVersionMatch=Exact"
    client = only_client([one for at, query in enumerate([*queries, exact]) for one in listed(query, at=at)])
    assert set(client.counts["lists"]) == {"newest", "newest_pages", "cache", "not_older", "page", "exact"}
    watches = (
        "resourceVersion=0",
        "x=y",
        "resourceVersion=7",
        "sendInitialEvents=true",
        "sendInitialEvents=true&resourceVersion=7",
    )
    client = only_client([one for at, query in enumerate(watches) for one in watched(query, at=at, lasts=None)])
    kinds = {"from_zero", "from_newest", "resumed", "streaming_list", "streaming_relist"}
    assert set(client.counts["watches"]) == kinds


def test_fields_that_are_selected_by_are_named_without_their_values() -> None:
    query = "resourceVersion=0&fieldSelector=spec.nodeName%3Dnode-1%2Cstatus.phase%21%3DRunning&labelSelector=app%3Dx"
    client = only_client(listed(query, at=0))
    assert client.counts["shapes"] == {"cache by spec.nodeName and status.phase and a label": 1}
