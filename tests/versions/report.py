"""Results in, docs/support.md out. All that is on the page is in support/results.json, and follows from it alone."""

import json
import string
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.live.rollout import Dated, Rollout
from tests.versions.probes import LISTED, Probe
from tests.versions.suites import SUITES, Outcome

PROSE = string.Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))
NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Played:
    """One server: what it is, what its tests came to, and what it does."""

    name: str
    store: str
    date: str
    commit: str
    seconds: float
    outcomes: dict[str, Outcome]
    probe: Probe

    @property
    def holds(self) -> bool:
        """Whether every test passed, and nothing was late or contradictory on a healthy server."""
        passed = all(outcome.passed and not outcome.failed for outcome in self.outcomes.values())
        ran = {suite.name for suite in SUITES} <= self.outcomes.keys()
        return passed and ran and not self.probe.contradictions and not self.probe.verdicts["late"]


@dataclass(slots=True)
class Results:
    """Everything that the page shows; what is played again takes the old one's place."""

    servers: dict[str, Played] = field(default_factory=dict)
    rollout: Rollout | None = None
    rollout_on: str = ""

    def text(self) -> str:
        """As JSON."""
        return json.dumps(rounded(asdict(self)), indent=1) + "\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text` gave."""
        fields = json.loads(text)
        servers = {name: _played(one) for name, one in fields["servers"].items()}
        rollout = fields["rollout"]
        if rollout is not None:
            rollout = Rollout(**{**rollout, "dated": [Dated(**one) for one in rollout["dated"]]})
        return cls(servers, rollout, fields["rollout_on"])


def _played(fields: dict[str, Any]) -> Played:
    outcomes = {name: Outcome(**one) for name, one in fields["outcomes"].items()}
    return Played(**{**fields, "outcomes": outcomes, "probe": Probe(**fields["probe"])})


def page(results: Results) -> str:
    """The whole page."""
    servers = sorted(results.servers.values(), key=lambda one: (one.store, one.name))
    return PROSE.substitute(
        servers="\n".join(overview(servers)),
        notes="\n".join(notes(servers)) or "Nothing failed, and nothing was left out.",
        differences="\n".join(differences(servers)),
        rollout="\n".join(rolled(results)),
    )


def overview(servers: list[Played]) -> Iterable[str]:
    """A row for each server, a column for each suite."""
    yield line(["kube-apiserver", "store", *(suite.name for suite in SUITES), "contradictions", "run", "seconds"])
    yield "|---" * (len(SUITES) + 5) + "|"
    for one in servers:
        cells = [cell(one.outcomes.get(suite.name)) for suite in SUITES]
        run = f"{one.date}, {one.commit}"
        yield line([one.probe.version, one.store, *cells, one.probe.contradictions, run, f"{one.seconds:.0f}"])


def cell(outcome: Outcome | None) -> str:
    """One suite on one server."""
    if outcome is None:
        return NOT_RUN
    said = [f"{outcome.passed + len(outcome.again)} passed"]
    said += [f"**{len(outcome.failed)} failed**"] if outcome.failed else []
    said += [f"{len(outcome.left_out)} left out"] if outcome.left_out else []
    return ", ".join(said)


def notes(servers: list[Played]) -> Iterable[str]:
    """What failed, what was left out and why, and what passed only alone."""
    for one in servers:
        where = f"{one.probe.version} on {one.store}"
        for outcome in one.outcomes.values():
            yield from (f"- {where}: **failed** `{name}`" for name in outcome.failed)
            yield from (f"- {where}: left out `{name}`: {why}" for name, why in sorted(outcome.left_out.items()))
            yield from (f"- {where}: `{name}` passed when it was run once more, alone" for name in outcome.again)


def differences(servers: list[Played]) -> Iterable[str]:
    """What the servers do differently, and which evidence each gives; what nobody was asked for is not missing."""
    names = [f"{one.probe.version}, {one.store}" for one in servers]
    yield line(["", *names])
    yield "|---" * (len(names) + 1) + "|"
    for plural in LISTED:
        answered = ("cache" if plural in one.probe.lists_from_cache else "store" for one in servers)
        yield line([f"LIST of `{plural}`", *answered])
    yield line(["its own dispatch metric", *("yes" if one.probe.has_dispatch_metric else "no" for one in servers)])
    sources = sorted({source for one in servers for source in one.probe.evidence})
    seen = [source for source in sources if any(one.probe.evidence.get(source) for one in servers)]
    for source in seen:
        yield line([f"evidence `{source}`", *(one.probe.share(source) for one in servers)])
    for verdict in ("on_time", "ambiguous", "late"):
        yield line([f"events judged `{verdict}`", *(one.probe.verdicts[verdict] for one in servers)])
    yield ""
    yield f"On none of them: evidence {', '.join(f'`{source}`' for source in sources if source not in seen)}."


def rolled(results: Results) -> Iterable[str]:
    """The rollout's table."""
    rollout = results.rollout
    if rollout is None:
        yield NOT_RUN
        return
    total = sum(one.events for one in rollout.dated)
    late = sum(one.late for one in rollout.dated)
    yield f"{results.rollout_on}: {rollout.pods} pods on {rollout.nodes} nodes, rolled over in {rollout.seconds:.0f} s;"
    yield f"{total} events, {late} late, {rollout.contradictions} contradictions."
    yield ""
    head = ("event", "events", "on time", "ambiguous", "late", "not judged", "width P50", "width P99", "P99, at most")
    yield line(head)
    yield "|---" * len(head) + "|"
    for one in rollout.dated:
        seconds = (f"{value:.3f} s" for value in (one.width_p50_seconds, one.width_p99_seconds, one.upper_p99_seconds))
        yield line([one.kind, one.events, one.on_time, one.ambiguous, one.late, one.unjudged, *seconds])


def line(cells: Iterable[object]) -> str:
    """One row of a table."""
    return f"| {' | '.join(str(one) for one in cells)} |"


def rounded(value: object) -> object:
    """To a tenth of a millisecond: more is noise."""
    match value:
        case float():
            return round(value, 4)
        case dict():
            return {key: rounded(one) for key, one in value.items()}
        case list() | tuple():
            return [rounded(one) for one in value]
        case _:
            return value
