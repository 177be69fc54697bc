import json
from math import inf
from pathlib import Path

import jsonschema
import msgspec

from exporter.measure.stream_state import StreamState, Trouble
from exporter.service import status
from tests.support.observing import config
from tests.support.states import state

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/status.schema.json").read_text(encoding="utf-8"))


def written(*states: StreamState) -> dict[str, object]:
    document: dict[str, object] = json.loads(
        msgspec.json.encode(status.document("1.2.3", config(), "All is well.", states))
    )
    return document


def test_the_status_is_as_its_schema_says() -> None:
    for one in (
        state(since=5.0),
        state(p99=(0.1, inf)),
        state(p99=None, slo="quiet", is_up=False, trouble=Trouble("connect", "refused")),
    ):
        jsonschema.validate(written(one), SCHEMA, cls=jsonschema.Draft202012Validator)
    assert status.stream(state()).keys() == SCHEMA["$defs"]["stream"]["properties"].keys()
