"""Events with their truth in, the figures of one scenario and one method out. Knows nothing of servers or pages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from exporter.measure.times import ANY_TIME, Instant, Interval, latency_between
from exporter.measure.window import Window
from exporter.vocabulary import Verdict
from tests.accuracy.observation import Observation

THRESHOLD_SECONDS = 1.0
WINDOW_SECONDS = 60.0
OBJECTIVE = 0.99


class Truth(NamedTuple):
    """When one event was committed and when it reached the exporter's socket, as those know who made it happen."""

    commit: Interval
    arrival: Interval

    @property
    def latency(self) -> Interval:
        """From the one to the other."""
        return latency_between(self.commit, self.arrival)


class Event(NamedTuple):
    """One event: what really happened, and what the exporter says."""

    truth: Truth
    observation: Observation


class Claim(NamedTuple):
    """What one method says of one event, and when it says so. A method that says no commit leaves it open."""

    latency: Interval
    verdict: Verdict
    said_at: Instant
    commit: Interval = ANY_TIME
    arrival: Interval = ANY_TIME
    state: str | None = None
    """The state of the objective just after; None leaves it to be computed."""


Method = Callable[[Event], Claim | None]


def verdict_of(latency: Interval) -> Verdict:
    """As the exporter judges."""
    if latency.latest <= THRESHOLD_SECONDS:
        return "on_time"
    return "late" if latency.earliest > THRESHOLD_SECONDS else "ambiguous"


def truth(event: Event) -> Claim:
    """What really happened, with the little that is not known of it."""
    latency = event.truth.latency
    return Claim(latency, verdict_of(latency), event.truth.arrival.latest)


def watchslo(event: Event) -> Claim:
    """The exporter's own judgement."""
    said = event.observation
    verdict: Verdict = said.verdict  # type: ignore[assignment]  # it came as text
    return Claim(said.latency, verdict, said.judged_at, said.commit, said.arrival, said.state)


def revision_clock(event: Event) -> Claim:
    """The revision clock alone: no Date, no stamps, no other arrivals."""
    said = event.observation
    latency = latency_between(said.polled_commit, said.arrival)
    return Claim(latency, verdict_of(latency), said.judged_at, said.polled_commit, said.arrival)


def since_stamp(event: Event) -> Claim | None:
    """now - managedFields.time, at once; nothing of an object without it."""
    seconds = event.observation.since_stamp_seconds
    if seconds is None:
        return None
    latency = Interval(seconds, seconds)
    return Claim(latency, verdict_of(latency), event.observation.arrival.latest)


TRUTH = "truth"
METHODS: dict[str, Method] = {
    TRUTH: truth,
    "watchslo": watchslo,
    "revision-clock": revision_clock,
    "managedFields": since_stamp,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """How one method did in one scenario. The P99 are those of the lower ends, the middles and the upper ends."""

    scenario: str
    method: str
    events: int
    contained: int
    """Events of which nothing that the method says is refuted by the truth."""
    late: int
    ambiguous: int
    false_late: int
    """Called late although certainly not later than the threshold."""
    width_p50_seconds: float
    width_p99_seconds: float
    p99_lower_seconds: float
    p99_middle_seconds: float
    p99_upper_seconds: float
    violated_after_seconds: float | None
    """From the beginning of the trouble to the first resource whose objective is certainly violated."""


def quantile(values: Iterable[float], ratio: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[ceil(ratio * len(ordered)) - 1]


def meet(one: Interval, other: Interval) -> bool:
    """Whether both may be true together."""
    return one.earliest <= other.latest and other.earliest <= one.latest


def contains(claim: Claim, known: Truth) -> bool:
    """Whether commit, arrival and latency may all lie where the method says."""
    return (
        meet(claim.commit, known.commit) and meet(claim.arrival, known.arrival) and meet(claim.latency, known.latency)
    )


def figures(
    scenario: str, method_name: str, events: Sequence[Event], *, began: Instant, is_judged: Callable[[Event], bool]
) -> Figures:
    """Those of the events that are judged; the objective's state follows from all of them."""
    method = METHODS[method_name]
    claims = [(event, claim) for event in events if (claim := method(event)) is not None]
    judged = [(event, claim) for event, claim in claims if is_judged(event)]
    said = [claim for _, claim in judged]
    violated_at = first_violation(claims, began)
    return Figures(
        scenario=scenario,
        method=method_name,
        events=len(judged),
        contained=sum(contains(claim, event.truth) for event, claim in judged),
        late=sum(claim.verdict == "late" for claim in said),
        ambiguous=sum(claim.verdict == "ambiguous" for claim in said),
        false_late=sum(is_falsely_late(claim, event.truth) for event, claim in judged),
        width_p50_seconds=quantile((claim.latency.width for claim in said), 0.5),
        width_p99_seconds=quantile((claim.latency.width for claim in said), 0.99),
        p99_lower_seconds=quantile((claim.latency.earliest for claim in said), 0.99),
        p99_middle_seconds=quantile((sum(claim.latency) / 2 for claim in said), 0.99),
        p99_upper_seconds=quantile((claim.latency.latest for claim in said), 0.99),
        violated_after_seconds=None if violated_at is None else max(0.0, violated_at - began),
    )


def is_falsely_late(claim: Claim, known: Truth) -> bool:
    """Whether it is called late and certainly is not."""
    return claim.verdict == "late" and known.latency.latest <= THRESHOLD_SECONDS


def first_violation(claims: Iterable[tuple[Event, Claim]], began: Instant) -> Instant | None:
    """When the objective of a resource was first said to be violated, from `began` on; None if never."""
    windows: dict[str, Window] = {}
    for event, claim in sorted(claims, key=lambda pair: pair[1].said_at):
        resource = event.observation.resource
        window = windows.setdefault(resource, Window(WINDOW_SECONDS, OBJECTIVE))
        window.judged(claim.said_at, claim.latency, claim.verdict)
        state = claim.state or window.report(claim.said_at).state
        if claim.said_at >= began and state == "violated":
            return claim.said_at
    return None
