"""Text from elsewhere in, no more of it than its limit out: what is beyond is counted here under the limit's name.

Elsewhere is whatever we did not write: apiservers, objects, plugins, the people who ask us. Each limit stands where its
text enters; this room only counts, for the whole process, because texts enter in places that share nothing else.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Refused: TypeAlias = Literal[
    "annotation",  # the value of --annotation, longer than any time
    "managed_fields",  # a time in metadata that is longer than any time
    "uid",  # of an object, longer than any that an apiserver makes
    "name",  # of an object that was late, longer than Kubernetes allows
    "line",  # of a watch: longer than any event, or than what all unfinished lines may have together
    "encoding",  # an answer that is compressed, which we do not ask for
    "answer",  # the body of an answer, or what goes before it
    "message",  # what an apiserver says of an error
    "discovery",  # names, pages or definitions of what there is to watch
    "token",  # of who asks us, with --web.auth-filter: longer than any that a cluster makes
    "endpoint",  # an apiserver's address in EndpointSlices that is none
    "server_metrics",  # of an apiserver: a line that is none, or one series more than are kept
    "audit",  # lines of an audit log that are no events, and names in it that are too long
    "credentials",  # a kubeconfig, a token, a certificate, or what an exec plugin prints
]
"""What may be refused, or cut."""

REFUSED: tuple[Refused, ...] = get_args(Refused)


MOST_MESSAGE_BYTES = 1024
"""An apiserver's own have a few hundred."""


def beginning(text: str, most_bytes: int = MOST_MESSAGE_BYTES) -> str:
    """As much of a text as fits into so many bytes."""
    return text[:most_bytes].encode(errors="replace")[:most_bytes].decode(errors="ignore")


class RefusedTexts:
    """How many texts were refused or cut since the process began, by what they are."""

    def __init__(self) -> None:
        self.times: dict[Refused, int] = dict.fromkeys(REFUSED, 0)

    def count(self, what: Refused, times: int = 1) -> None:
        """So many texts more were beyond their limit."""
        self.times[what] += times


refused_texts = RefusedTexts()
"""Those of this process."""


def message(text: str) -> str:
    """As much as is kept of what others say of an error; what is cut is counted."""
    kept = beginning(text)
    if len(kept) < len(text):
        refused_texts.count("message")
    return kept
