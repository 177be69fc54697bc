"""Our own code does not do a tenth more work unless guarded.json is updated (`python -m tests.speed.guard --write`)."""

import json

from tests.speed.guard import GUARDED, MOST_MORE, MOST_MORE_ON_ANOTHER_PYTHON, PYTHON, counts


async def test_nothing_takes_a_tenth_more_than_what_is_committed() -> None:
    guarded = json.loads(GUARDED.read_text(encoding="utf-8"))
    committed, counted = guarded["counts"], await counts()
    most_more = MOST_MORE if guarded["python"] == PYTHON else MOST_MORE_ON_ANOTHER_PYTHON
    assert counted.keys() == committed.keys()
    more = {what: (committed[what], now) for what, now in counted.items() if now > committed[what] * most_more}
    assert not more, f"(committed, now): {more}"
