import json
from math import inf
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from exporter.measure.stream_state import Fading, Interruptions, StreamState, Trouble
from exporter.service import status
from exporter.vocabulary import DOUBTS, STARTUP_RESULTS, STARTUP_STAGES, UNKNOWN_REASONS
from tests.support.states import counts, look, startup, state

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/status.schema.json").read_text(encoding="utf-8"))


def written(*states: StreamState, has_errors: bool = True) -> dict[str, Any]:
    blocks = b"".join(status.blocks(look(*states, has_errors=has_errors)))
    document: dict[str, Any] = json.loads(blocks, parse_constant=pytest.fail)
    return document


def test_the_status_is_as_its_schema_says() -> None:
    for one in (
        state(since=5.0),
        state(p99=(0.1, inf)),
        state(slo="unknown"),
        state(slo="unknown", fading=Fading(4.0, 5.0, 65.0)),
        state(slo="violated", fading=Fading(None, 5.0, 65.0)),
        state(pod_startup=startup()),
        state(pod_startup=startup(is_anything_known=False)),
        state(p99=None, slo="quiet", is_up=False, trouble=Trouble("connect", "refused")),
    ):
        jsonschema.validate(written(one), SCHEMA, cls=jsonschema.Draft202012Validator)
    assert status.stream(state()).keys() == SCHEMA["$defs"]["stream"]["properties"].keys()


def test_what_an_apiserver_says_is_for_those_who_may_read_it() -> None:
    down = state(is_up=False, trouble=Trouble("connect", "refused"))
    [told] = written(down)["streams"]
    assert (told["trouble"], told["error"]) == ("connect", "refused")
    [said] = written(down, has_errors=False)["streams"]
    assert told.keys() - said.keys() == {"error"}


def test_what_has_no_limit_is_null() -> None:
    streams = written(state(p99=(0.1, inf)), state())["streams"]
    assert [one["p99_upper_seconds"] is None for one in streams] == [True, False]
    assert written()["streams"] == []


def test_starts_of_pods_have_what_is_known_of_them() -> None:
    found = status.stream(state(pod_startup=startup()))["pod_startup"]
    assert found["starting"] == 3
    assert found["pods"]["sli_pull_unknown"] == 2
    assert found["unknown_share"] == 2 / 12
    assert found["stages"].keys() == {"scheduled", "total", "sli", "watches"}
    assert found["stages"]["sli"]["p95_upper_seconds"] == inf
    assert 0 < found["watches_share_lower"] < found["watches_share_upper"] < 0.2
    assert status.stream(state())["pod_startup"] is None


def test_an_unknown_state_has_its_reason() -> None:
    said = status.stream(state(slo="unknown"))
    assert (said["unknown_reason"], said["doubt"]) == ("undated", "nothing_dates")
    assert said["meaning"] == "nothing dates the events, so that their latency has no upper bound"
    assert said["advice"].startswith("Run `watchslo check`")
    certain = status.stream(state())
    assert (certain["unknown_reason"], certain["doubt"], certain["advice"]) == (None, None, None)
    assert set(SCHEMA["$defs"]["stream"]["properties"]["unknown_reason"]["enum"]) == {*UNKNOWN_REASONS, None}
    assert set(SCHEMA["$defs"]["stream"]["properties"]["doubt"]["enum"]) == {*DOUBTS, None}


def test_what_is_interrupted_has_advice_as_well_and_its_state_keeps_its_meaning() -> None:
    cut = status.stream(state(interruptions=Interruptions(3, 0, 5.0, is_repeated=True)))
    assert cut["advice"].startswith("They go on where they ended")
    assert cut["meaning"] == "enough events in the window are certainly on time"
    assert status.stream(state(interruptions=Interruptions(1, 0, 5.0)))["advice"] is None


def test_what_is_over_has_its_times_and_canaries_are_counted_where_they_arrive() -> None:
    over = state(slo="violated", fading=Fading(None, 5.0, 65.0), counts=counts(canaries_lost=1))
    over.counts.canary_delivery.observe(0.1, 7)
    said = status.stream(over)
    assert said["fading"] == {"began": None, "ended": 5.0, "leaves": 65.0}
    assert (said["canary_writes"], said["canaries_arrived"], said["canaries_lost"]) == (0, 7, 1)
    assert status.stream(state())["fading"] is None


def test_the_schema_knows_every_stage_and_result() -> None:
    of_startup = SCHEMA["$defs"]["pod_startup"]["properties"]
    assert tuple(of_startup["stages"]["propertyNames"]["enum"]) == STARTUP_STAGES
    assert tuple(of_startup["pods"]["propertyNames"]["enum"]) == STARTUP_RESULTS
