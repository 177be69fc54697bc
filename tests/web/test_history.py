import json
from pathlib import Path
from typing import Any

import jsonschema

from exporter.history.recording import History
from exporter.measure.late_objects import LateObject
from exporter.measure.stream_state import StreamState
from exporter.measure.times import Interval
from exporter.vocabulary import CONDITIONS, STAGES
from exporter.web.history import blocks
from exporter.web.page.look import Look
from tests.support.states import counts, look, state
from tests.web.page.test_page import Shown, served

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/history.schema.json").read_text(encoding="utf-8"))
NOW = 1_700_000_000.0


def lived() -> Look:
    """Two streams of which much is known."""
    late = (LateObject(NOW, "added", "", None, Interval(1.2, float("inf")), "cache_to_client"),)
    history = History()
    for second in range(0, 700, 5):
        figures = counts({"on_time": second, "late": second // 10})
        figures.forced_closes = figures.ends["early_eof"] = second // 300
        figures.stage_lower["write"].observe(0.1, second)
        figures.stage_upper["write"].observe(0.2, second)
        figures.interval_width.observe(0.1, second)
        for ends, seconds in ((figures.stage_lower, 0.1), (figures.stage_upper, float("inf"))):
            ends["storage_to_cache"].observe(seconds, second)
        figures.interval_width.observe(float("inf"), max(0, second - 600))
        pods = state("pods", "violated", (1.2, float("inf")), counts=figures, late_objects=late)
        for _ in history.record(NOW - 700 + second, [pods, state("nodes", p99=None)]):
            pass
    return look(pods, state("nodes", p99=None), now=NOW, history=history)


def written(shown: Look, states: list[StreamState]) -> Any:
    return json.loads(
        b"".join(blocks(shown, states)), parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word))
    )


def test_the_document_is_as_its_schema_says() -> None:
    shown = lived()
    document = written(shown, list(shown.states))
    jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
    pods = document["streams"][0]
    assert len(pods["fine"]["at"]) == 70
    assert pods["fine"]["p99_upper_seconds"][-1] is None
    assert pods["fine"]["stages"]["write"]["upper_seconds"][-1] == 0.2
    assert pods["fine"]["stages"]["storage_to_cache"]["lower_seconds"][-1] == 0.1
    assert pods["fine"]["stages"]["storage_to_cache"]["upper_seconds"][-1] is None, "no bound is known"
    assert pods["fine"]["interval_width_seconds"][-70:][30] == 0.1
    assert pods["fine"]["interval_width_seconds"][-1] is None
    assert pods["last_end"]["reason"] == "early_eof"
    assert pods["late_objects"][0]["name"] is None
    assert [note["kind"] for note in document["notes"]] == ["forced_close", "forced_close"]
    jsonschema.validate(written(look(), []), SCHEMA)


def test_the_schema_knows_every_condition_and_stage_and_nothing_beside_what_is_written() -> None:
    steps = SCHEMA["$defs"]["steps"]
    assert steps["properties"]["condition"]["items"]["enum"] == list(CONDITIONS)
    assert steps["properties"]["stages"]["required"] == list(STAGES)
    document = written(lived(), list(lived().states))
    assert document.keys() == SCHEMA["properties"].keys()
    assert document["streams"][0].keys() == SCHEMA["$defs"]["stream"]["properties"].keys()
    assert document["streams"][0]["fine"].keys() == steps["properties"].keys()
    assert document["notes"][0].keys() == SCHEMA["$defs"]["note"]["properties"].keys()


async def test_one_stream_can_be_asked_for_and_a_piece_is_small() -> None:
    shown = Shown()
    shown.look = lived()
    async with served(shown), shown.session as client:
        async with client.get("/api/v1/history?resource=nodes") as response:
            document = await response.json()
        assert [one["resource"] for one in document["streams"]] == ["nodes"]
        async with client.get("/api/v1/history?apiserver=elsewhere") as response:
            assert (await response.json())["streams"] == []
    assert max(map(len, blocks(shown.look, list(shown.look.states)))) < 60_000
