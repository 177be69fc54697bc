"""No change makes our own code more than a quarter more expensive without saying so (`tests.speed.guard --write`)."""

import json

from tests.speed.guard import GUARDED, MOST_REGRESSION, ratios


async def test_nothing_costs_a_quarter_more_than_what_is_committed() -> None:
    committed = json.loads(GUARDED.read_text(encoding="utf-8"))
    measured = await ratios()
    assert measured.keys() == committed.keys()
    dearer = {
        what: (committed[what], ratio) for what, ratio in measured.items() if ratio > committed[what] * MOST_REGRESSION
    }
    assert not dearer, f"(committed, now): {dearer}"
