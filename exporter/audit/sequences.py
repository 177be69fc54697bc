"""What follows only from the sequence of a client's requests: relists, streams that broke, and polls.

An apiserver answers a watch with status 200 whatever comes of it: 410 Gone is an event inside. So a relist is known by
what the client asks for next. What is inferred here may be wrong; what is doubtful is left out:

- A LIST with resourceVersion=N, or a streaming list with one, comes from a client that has listed before: client-go's
  informers relist so, and nobody else who watches. Without a watch before it the next request has to be one. One that
  the client has to try again, because it was cut off, counts again: it costs as much.
- Another LIST is a relist if a watch that went on from a revision has just ended within a moment (its history was gone)
  and nothing was listed since. kubectl's LIST, watch, LIST, watch is none.
- A watch that ends before its timeout is broken if the client then goes on watching, or relists; otherwise the client
  may have closed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

if TYPE_CHECKING:
    from exporter.audit.requests import Asked

RelistSign: TypeAlias = Literal["gone", "broken", "timeout", "unknown"]
RELIST_REASONS: tuple[RelistSign, ...] = get_args(RelistSign)

RELIST_MEANINGS: dict[RelistSign, str] = {
    "gone": "the watch before it ended within a moment: the history that it asked for was gone",
    "broken": "the watch before it ended before its timeout",
    "timeout": "the watch before it had reached its timeout: an informer would have resumed it",
    "unknown": "the end of the watch before it is not in the log",
}

GONE_SECONDS = 0.25
"""An apiserver that has no history for a watch ends it at once."""

PUNCTUAL_SECONDS = 2.0
"""So much before its timeout, or a tenth of it, a watch may end and have reached it."""

UNTIMED_SECONDS = 1800.0
"""Without a timeout of the client's an apiserver chooses one from here to twice as much (--min-request-timeout)."""

FEWEST_POLLS = 5
"""So many LISTs without any watch are a poll."""

EndedWatch: TypeAlias = Literal["timeout", "early", "gone"]
ENDS: tuple[EndedWatch, ...] = get_args(EndedWatch)


class Relisted(NamedTuple):
    """A client has listed again what it had already."""

    reason: RelistSign


class Broken(NamedTuple):
    """A stream ended before its timeout, and not because the client wanted that."""


class Started(NamedTuple):
    """An informer begins from nothing."""


Inferred: TypeAlias = Relisted | Broken | Started


class Sequence:
    """The requests of one process for one resource with the same selectors, in the order of their ends and starts."""

    __slots__ = ("_doubtful", "_end", "_has_resumed", "_has_watched", "lists", "since", "until")

    def __init__(self) -> None:
        self._has_watched = False
        self._end: EndedWatch | None = None
        """How the newest of its watches has ended, until the next one has started."""
        self._has_resumed = False
        """Whether a watch has gone on from a revision after another watch, and nothing was listed since."""
        self._doubtful = False
        """Whether a LIST looked like a relist of a client that was never seen watching."""
        self.lists = 0
        """In a row, without a watch."""
        self.since = self.until = 0.0

    @property
    def poll_seconds(self) -> float | None:
        """How often it lists, on average, if it polls."""
        if self._has_watched or self.lists < FEWEST_POLLS:
            return None
        return (self.until - self.since) / (self.lists - 1)

    def listed(self, asked: Asked, at: float) -> list[Inferred]:
        """A LIST was answered well."""
        if asked.kind == "page":
            return []
        self.since = self.since if self.lists else at
        self.until = at
        self.lists += 1
        inferred: list[Inferred] = []
        if asked.kind == "not_older" and not self._has_watched:
            self._doubtful = True
        elif asked.kind == "not_older" or (self._has_resumed and self._end == "gone"):
            inferred = self._relist()
        else:
            self._end = None  # whatever the client did before, it begins anew
            inferred = [Started()] if asked.kind == "cache" and asked.has_limit else []
        self._has_resumed = False
        return inferred

    def watch_started(self, asked: Asked) -> list[Inferred]:
        """A watch was accepted."""
        inferred: list[Inferred] = []
        if self._doubtful:
            inferred.append(Relisted("unknown"))
        if asked.kind == "streaming_relist":
            inferred += self._relist()
        elif asked.kind == "streaming_list":
            inferred.append(Started())
        elif asked.kind == "resumed":
            if self._end == "early":
                inferred.append(Broken())
            self._has_resumed = self._has_watched and not self.lists
        self._has_watched, self._doubtful, self._end, self.lists = True, False, None, 0
        return inferred

    def watch_ended(self, asked: Asked, seconds: float, open_seconds: float) -> EndedWatch:
        """A watch is over, so long after it was asked for, and after it was accepted."""
        timeout_seconds = asked.timeout_seconds or UNTIMED_SECONDS
        if seconds >= timeout_seconds - min(PUNCTUAL_SECONDS, timeout_seconds / 10):
            self._end = "timeout"
        else:
            self._end = "gone" if open_seconds < GONE_SECONDS and asked.kind == "resumed" else "early"
        return self._end

    def _relist(self) -> list[Inferred]:
        broken: list[Inferred] = [Broken()] if self._end == "early" else []
        reason: RelistSign = "broken" if self._end == "early" else self._end or "unknown"
        return [*broken, Relisted(reason)]
