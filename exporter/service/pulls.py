"""Watches the kubelets' Events about pulled images on one apiserver, for the pods that start there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from exporter.config import ResourceName
from exporter.measure.arrivals import Arrivals
from exporter.measure.events import EventDecoder
from exporter.measure.pods import Pull
from exporter.watch.reflector import Reflector
from exporter.watch.watch import WatchDependencies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.kubernetes.errors import StartError
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession
    from exporter.measure.pod_starts import PodStarts
    from exporter.measure.times import Instant, Interval
    from exporter.metrics.series import Counter
    from exporter.vocabulary import RelistReason
    from exporter.watch.heartbeat import Heartbeat
    from exporter.watch.watch import DecodedBatch, End

log = logging.getLogger(__name__)

EVENTS_NAME = ResourceName("events")
PULLS_OF_PODS = "involvedObject.kind=Pod,reason=Pulled"


class PullListener:
    """Passes pulls on, and counts what hides them: without them the lower bounds of the SLI's times are wide."""

    def __init__(self, apiserver: str, starts: PodStarts, errors: Mapping[str, Counter]) -> None:
        self._apiserver = apiserver
        self._starts = starts
        self._errors = errors
        self._is_in_trouble = False

    def found(self, resource: Resource) -> None:
        """Events are served everywhere."""

    def relisting(self, reason: RelistReason) -> None:
        """Pulls may be missed, whose pods are then counted without them."""
        if reason != "start":
            self._errors["relist"].inc()

    def start_failed(self, error: StartError) -> None:
        """Logged once, until it works again, and counted every time. Until then nobody waits for pulls."""
        self._errors[error.reason].inc()
        self._starts.sees_pulls = False
        if not self._is_in_trouble:
            self._is_in_trouble = True
            fields = {"apiserver": self._apiserver, "reason": error.reason, "error": str(error)}
            log.warning("image pulls are not known: Events cannot be watched", extra={"fields": fields})

    def opened(self, at: Instant, listed_revision: int | None) -> None:  # noqa: ARG002 a ReflectorListener's
        """From now on pulls are known."""
        self._is_in_trouble = False
        self._starts.sees_pulls = True

    def read(self, reading: DecodedBatch, arrival: Interval) -> None:  # noqa: ARG002
        """Pulls have come."""
        self._errors["undecodable"].inc(reading.undecodable)
        for event in reading.events:
            if isinstance(event.content, Pull):
                self._starts.pulled(event.content)

    def lost(self, at: Instant) -> None:
        """The next watch goes on from there."""

    def slept(self, seconds: float) -> None:
        """Nothing is timed here."""

    def ended(self, end: End, lived_seconds: float) -> None:
        """The reflector opens the next one."""


def pull_reflector(
    listener: PullListener, namespace: str | None, *, session: ApiSession, watches: ApiSession, heartbeat: Heartbeat
) -> Reflector:
    """What watches the pulls that this listener passes on, to be run."""
    return Reflector(
        EVENTS_NAME,
        namespace,
        session=session,
        watches=watches,
        dependencies=WatchDependencies(
            EventDecoder(), Arrivals(), heartbeat, reads="pulls", field_selector=PULLS_OF_PODS
        ),
        listener=listener,
    )
