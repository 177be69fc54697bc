"""From facts to findings: said in the log when one begins, changes or ends, counted, and kept for whoever asks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from exporter.diagnosis.audited import is_unnamed
from exporter.diagnosis.diagnose import diagnose
from exporter.diagnosis.tracking import Change, Tracker
from exporter.turns import in_turns

if TYPE_CHECKING:
    from exporter.diagnosis.facts import Facts
    from exporter.diagnosis.findings import Finding
    from exporter.metrics.registry import Metrics

log = logging.getLogger(__name__)

MOST_LATELY = 256


class Troubled(NamedTuple):
    """Addresses of apiservers."""

    somehow: set[str]
    """At which something is wrong."""
    by_somebody: set[str]
    """Of which the cause may be somebody's requests, and nobody has said whose."""


class Diagnosing:
    """What is found at the moment."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._tracker = Tracker()
        self.facts: Facts | None = None
        """The last ones that were looked at."""
        self.findings: list[Finding] = []
        """Most certain and most exact first."""
        self.past: list[Finding] = []
        """What was found lately."""
        self.lately: dict[object, Finding] = {}
        """The last ones that began, changed or ended, as they were then, the newest last."""

    async def take(self, facts: Facts) -> Troubled:
        """Look at the facts of one moment, in turns."""
        self.facts = facts
        causes = await in_turns(diagnose(facts))
        changes = self._tracker.update(facts.now, causes, facts.troubled_since)
        self.findings, self.past = self._tracker.named, self._tracker.past
        for change in changes:
            self._tell(change)
        late = {apiserver for apiserver, _, _ in facts.troubled_since}
        unnamed = {one.apiserver for one in self.findings if is_unnamed(one.fault, one.name, facts)}
        return Troubled(late | {cause.apiserver for cause in causes}, unnamed)

    def give_up(self) -> Troubled:
        """Nothing is found as long as nobody can look; whoever looks again begins anew."""
        gone, self.findings, self.past = self.findings, [], []
        self._tracker = Tracker()
        for finding in gone:
            self._tell(Change("withdrawn", finding))
        return Troubled(set(), set())

    def _tell(self, change: Change) -> None:
        finding = change.finding
        is_over = change.what == "withdrawn"
        if not is_over or self._metrics.has_fault(*finding.key):
            for certainty, series in self._metrics.fault(*finding.key).items():
                series.set(int(not is_over and certainty == finding.certainty))
        self._metrics.fault_changes[finding.fault].inc()
        fields = {
            "fault": finding.fault,
            "certainty": finding.certainty,
            "apiserver": finding.apiserver,
            "resource": finding.name,
            "says": finding.sentence,
            "evidence": "; ".join(finding.evidence),
        }
        said = {key: value for key, value in fields.items() if value}
        log.warning("fault %s", change.what, extra={"fields": said})
        self.lately.pop(finding.key, None)
        self.lately[finding.key] = finding
        if len(self.lately) > MOST_LATELY:
            del self.lately[next(iter(self.lately))]
