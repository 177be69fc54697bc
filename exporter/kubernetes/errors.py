"""Errors of requests: the reason under which each is counted, and its sentence."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import aiohttp

from exporter.credentials import CredentialsError
from exporter.kubernetes.session import UNREACHABLE, UNREADABLE, AnswerError
from exporter.wording.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.vocabulary import EndReason, Refusal, StartReason

WHAT_TO_GRANT = '; "watchslo check" with the same flags prints the missing rules'

REFUSING: frozenset[StartReason] = frozenset({"throttled", "server_error", "server_timeout"})
"""Reasons for which the apiserver would have refused every client."""

UNREACHABLE_ERRNOS = frozenset(
    {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH}
)


class StartError(Exception):
    """A LIST or a WATCH that did not start."""

    def __init__(
        self,
        reason: StartReason,
        message: str,
        retry_after_seconds: float | None = None,
        *,
        is_apiservers: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.reason: StartReason = reason
        self.retry_after_seconds = retry_after_seconds
        self.is_apiservers = reason in REFUSING if is_apiservers is None else is_apiservers
        """Whether the apiserver, or the network to it, certainly failed for every client."""


_REFUSALS: dict[int, Refusal] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    410: "gone",
    429: "throttled",
    504: "server_timeout",
}


def start_reason(status: int) -> StartReason:
    """The reason for a start that was refused with this HTTP status or Status code."""
    return _REFUSALS.get(status, "server_error" if status >= 500 else "bad_response")


def end_reason(status: int) -> EndReason:
    """The reason for an end that was announced by an ERROR event with this code."""
    return _REFUSALS.get(status, "server_error")


def start_error(error: Exception) -> StartError:
    """Convert the error of a request to a StartError with its reason."""
    if isinstance(error, AnswerError):
        said = f"{sentence(error)}{WHAT_TO_GRANT if error.status == 403 else ''}"
        return StartError(start_reason(error.status), said, error.retry_after_seconds)
    return StartError("connect", sentence(error), is_apiservers=_is_unreachable(error))


def _is_unreachable(error: Exception) -> bool:
    """Whether the server is unreachable or does not answer; False for errors in credentials, names or files."""
    if isinstance(error, CredentialsError):
        return False
    if isinstance(error, TimeoutError | ConnectionError | aiohttp.ServerDisconnectedError):
        return True
    return isinstance(error, OSError) and error.errno in UNREACHABLE_ERRNOS


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Convert every error of a LIST of `path`, also of its credentials, to a StartError."""
    try:
        yield
    except (*UNREADABLE, ValueError) as error:
        raise StartError("bad_response", f"{path}: the response is not a list ({error})") from error
    except (AnswerError, CredentialsError, *UNREACHABLE) as error:
        raise start_error(error) from error
