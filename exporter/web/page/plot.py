"""Plots as SVG: the band between the bounds of the P99 over time, with the threshold as a line, and bars.

Colours come from the style sheet, by the condition that each step was in.
"""

from __future__ import annotations

from itertools import count, groupby
from math import floor, inf
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from exporter.diagnosis.sentences import seconds
from exporter.diagnosis.words import CONDITION_WORDS
from exporter.web.page.figures import STAGE_WORDS, between, text
from exporter.wording.moments import clock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from exporter.history.steps import Band, Step
    from exporter.measure.histogram import Histogram
    from exporter.measure.times import Interval, WallTime
    from exporter.vocabulary import ShownCondition, Stage

Drawable: TypeAlias = "Band | Step"
THINNEST = 1.6
"""A band that is thinner than these units could not be seen."""

HEADROOM = 1.15
STATES: dict[ShownCondition, str] = {
    "met": "",
    "violated": "",
    "unknown": " whether on time or late",
    "quiet": ": too few events to judge; grey is also what is over",
    "down": "",
    "interrupted": ": on time, but closed by force or relisted again and again",
}
"""What is to be said of each state besides its word."""

AFTER_THE_COMMIT: tuple[Stage, ...] = ("storage_to_cache", "cache_to_client")


class Frame(NamedTuple):
    """Where a plot stands in time, and how large it is."""

    ends: WallTime
    step_seconds: int
    steps: int
    width: float
    height: float
    left: float = 0.0
    """Room for the words of an axis."""
    bottom: float = 0.0

    @property
    def begins(self) -> WallTime:
        """The beginning of the first step."""
        return (floor(self.ends / self.step_seconds) + 1 - self.steps) * self.step_seconds

    @property
    def minutes(self) -> int:
        """How much time it shows."""
        return self.steps * self.step_seconds // 60

    def x(self, at: WallTime) -> float:
        """Where a time is."""
        of_all = (at - self.begins) / (self.steps * self.step_seconds)
        return self.left + of_all * (self.width - self.left)


class Scale(NamedTuple):
    """Where a duration is: 0 at the bottom, `most` at the top."""

    most: float
    height: float

    def y(self, duration: float) -> float:
        """No higher than the top."""
        return self.height * (1 - min(duration, self.most) / self.most)


def band(steps: Sequence[Band], threshold_seconds: float, top_seconds: float, frame: Frame) -> str:
    """A small plot, with its top and the threshold at its side; what it shows is said in words as well."""
    scale = Scale(top_seconds, frame.height)
    line = scale.y(threshold_seconds)
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {frame.width:g} {frame.height:g}" preserveAspectRatio="none" '
        f'aria-label="{text(in_words(steps, frame))}">{"".join(marks(steps, frame, scale))}'
        f'<path class="limit" d="M0 {line:.1f}H{frame.width:g}"/></svg>'
        f'<svg class="ticks" aria-hidden="true"><text y="0" dy="9">{top_seconds:g} s</text>'
        f'<text y="{100 * line / frame.height:.0f}%" dy="4">{threshold_seconds:g} s</text></svg>'
        f'<span class="times" aria-hidden="true"><span>\N{MINUS SIGN}{frame.minutes} min</span><span>now</span></span>'
    )


def legend(threshold_seconds: float) -> str:
    """What the colours of rows and the marks of all plots mean."""
    marked = [(f"of-{one}", f"{CONDITION_WORDS[one]}{more}") for one, more in STATES.items()]
    marked += [("of-nothing", "nothing known"), ("of-limit", f"threshold, {threshold_seconds:g} s")]
    items = "".join(f'<li><i class="{kind}"></i>{words}</li>' for kind, words in marked)
    band = "<li>Band: from the lower to the upper bound of the P99</li>"
    return f'<ul class="legend" aria-label="What colours mean">{items}{band}</ul>'


def top_of_all(highest_seconds: float, threshold_seconds: float) -> float:
    """A round multiple of the threshold that holds everything: it seldom changes, and is twice the threshold while
    nothing is above that.
    """
    multiples = (round_one * 10.0**power for power in count() for round_one in (2, 5, 10))
    return next(top for multiple in multiples if (top := multiple * threshold_seconds) >= highest_seconds)


def highest_seconds(steps: Iterable[Drawable]) -> float:
    """The highest bound that there is."""
    return max((end for step in steps if step.p99 is not None for end in step.p99 if end < inf), default=0.0)


def scale_of(steps: Sequence[Drawable], threshold_seconds: float, frame: Frame) -> Scale:
    """One that holds everything that has a bound, with the threshold in the middle while nothing is above it."""
    return Scale(max(2 * threshold_seconds, HEADROOM * highest_seconds(steps)), frame.height - frame.bottom)


def marks(steps: Sequence[Drawable], frame: Frame, scale: Scale) -> Iterator[str]:
    """A path for each run of steps in one condition, and a block for each time without a watch."""
    width = (frame.width - frame.left) / frame.steps
    for run in _runs(steps, frame.step_seconds):
        condition, x = run[0].condition, frame.x(run[0].at)
        if condition == "down":
            length = f"{width * len(run):.1f}"
            yield f'<rect class="of-down" x="{x:.1f}" y="0" width="{length}" height="{scale.height:g}"/>'
            continue
        ends = [_visible(scale, step.p99) for step in run if step.p99 is not None]
        if ends:
            yield f'<path class="of-{condition}" d="{_outline(x, width, ends)}"/>'


def in_words(steps: Sequence[Drawable], frame: Frame) -> str:
    """What the plot shows, for those who do not see it."""
    minutes = frame.minutes
    known = [step for step in steps if step.p99 is not None]
    if not known:
        return f"P99 of the last {minutes} minutes: nothing known"
    worst = max(known, key=lambda step: step.p99 or (0.0, 0.0))
    now = between(known[-1].p99)
    return f"P99 of the last {minutes} minutes: now {now}, highest {between(worst.p99)} at {clock(worst.at)} UTC"


def _runs(steps: Sequence[Drawable], step_seconds: int) -> Iterator[list[Drawable]]:
    """Neighbouring steps in one condition, with or without a known P99."""
    for _, same in groupby(
        enumerate(steps),
        key=lambda one: (one[1].condition, one[1].p99 is None, one[1].at // step_seconds - one[0]),
    ):
        yield [step for _, step in same]


def _visible(scale: Scale, p99: Interval) -> tuple[float, float]:
    lower, upper = scale.y(p99.earliest), scale.y(p99.latest)
    if lower - upper >= THINNEST:
        return lower, upper
    upper = max(0.0, min(upper, scale.height - THINNEST))
    return upper + THINNEST, upper


def _outline(x: float, width: float, ends: Sequence[tuple[float, float]]) -> str:
    """Along the upper ends to the right, and along the lower ends back."""
    there, back = [f"M{x:.1f} {ends[0][1]:.1f}"], []
    number = 0
    for (lower, upper), same in groupby(ends):
        began, number = number, number + len(list(same))
        there.append(f"V{upper:.1f}H{x + width * number:.1f}")
        back.append(f"V{lower:.1f}H{x + width * began:.1f}")
    return "".join([*there, *reversed(back), "Z"])


def timeline(steps: Sequence[Step], threshold_seconds: float, frame: Frame) -> str:
    """The same with axes, for the hours; each step says its figures to those who point at it."""
    scale = scale_of(steps, threshold_seconds, frame)
    return (
        f'<svg class="timeline" role="img" viewBox="0 0 {frame.width:g} {frame.height:g}" '
        f'aria-label="{text(in_words(steps, frame))}">{"".join(_axes(frame, scale, threshold_seconds))}'
        f"{''.join(marks(steps, frame, scale))}{''.join(_told(steps, frame, scale))}</svg>"
    )


def _axes(frame: Frame, scale: Scale, threshold_seconds: float) -> Iterator[str]:
    for value, kind in ((0.0, "axis"), (threshold_seconds, "limit"), (scale.most / HEADROOM, "axis")):
        if kind == "axis" and 0 < abs(value - threshold_seconds) < threshold_seconds / 4:
            continue
        y = f"{scale.y(value):.1f}"
        yield f'<path class="{kind}" d="M{frame.left:g} {y}H{frame.width:g}"/>'
        words = seconds(value) if value else "0 s"
        yield f'<text x="{frame.left - 6:g}" y="{y}" text-anchor="end" dy="4">{words}</text>'
    every = 3600 if frame.steps * frame.step_seconds > 7200 else 600
    for at in range(int(frame.begins // every + 1) * every, int(frame.ends), every):
        x = f"{frame.x(at):.1f}"
        yield f'<path class="axis" d="M{x} 0V{scale.height:g}"/>'
        yield f'<text x="{x}" y="{frame.height - 4:g}" text-anchor="middle">{clock(at)[:5]}</text>'


def _told(steps: Sequence[Step], frame: Frame, scale: Scale) -> Iterator[str]:
    width = (frame.width - frame.left) / frame.steps
    for step in steps:
        words = f"{clock(step.at)} UTC: {CONDITION_WORDS[step.condition]}, P99 {between(step.p99)}, {step.late} late"
        yield (
            f'<rect class="told" x="{frame.x(step.at):.1f}" y="0" width="{width:.1f}" height="{scale.height:g}">'
            f"<title>{text(words)}</title></rect>"
        )


def stage_bar(stages: Mapping[Stage, Interval], threshold_seconds: float) -> str:
    """Where the time goes after the commit, as long as the threshold or longer; the middles of the bounds."""
    middles = {stage: _middle(stages[stage]) for stage in AFTER_THE_COMMIT if stage in stages}
    whole = max(threshold_seconds, sum(middles.values()))
    words = ", ".join(f"{STAGE_WORDS[stage]} {between(stages[stage])}" for stage in middles)
    x, bars = 0.0, ""
    for stage, middle in middles.items():
        width = 100 * middle / whole
        bars += f'<rect class="of-{stage}" x="{x:.1f}" y="0" width="{max(width, 0.8):.1f}" height="6"/>'
        x += width
    return (
        f'<svg class="bar" role="img" viewBox="0 0 100 6" preserveAspectRatio="none" '
        f'aria-label="{text(words or "nothing measured")}"><rect class="bed" width="100" height="6"/>{bars}</svg>'
    )


def _middle(interval: Interval) -> float:
    lower, upper = interval
    return lower if upper == inf else (lower + upper) / 2


def histogram(counts: Histogram, threshold_seconds: float) -> str:
    """Bars of the events in each bucket; those beyond the threshold have another colour."""
    width, height, most = 760.0, 96.0, max([1, *counts.counts])
    each = width / len(counts.counts)
    bars = ""
    bounds = [*counts.bounds, inf]
    for number, (bound, events) in enumerate(zip(bounds, counts.counts, strict=True)):
        tall = 0.0 if not events else max(1.5, height * events / most)
        kind = "of-met" if bound <= threshold_seconds else "of-violated"
        words = f"{'more' if bound == inf else f'up to {bound:g} s'}: {events} events"
        bars += (
            f'<g><title>{text(words)}</title><rect class="told" x="{number * each:.1f}" y="0" width="{each:.1f}" '
            f'height="{height:g}"/><rect class="{kind}" x="{number * each + 1:.1f}" y="{height - tall:.1f}" '
            f'width="{each - 2:.1f}" height="{tall:.1f}"/></g>'
            f'<text x="{(number + 0.5) * each:.1f}" y="{height + 14:g}" text-anchor="middle">'
            f"{'more' if bound == inf else f'{bound:g}'}</text>"
        )
    return (
        f'<svg class="histogram" role="img" viewBox="0 0 {width:g} {height + 20:g}" '
        f'aria-label="Events by ApiserverTimeSpan in seconds, since the start">{bars}'
        f'<path class="axis" d="M0 {height:g}H{width:g}"/></svg>'
    )
