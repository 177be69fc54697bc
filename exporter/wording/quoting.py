"""How error messages quote a user's text: on one line, shortened, and with a hint for a likely typo."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""OpenSSL's reasons for an answer that is not TLS."""

_LONGEST_QUOTE = 200
_MOST_COMPARED = 5000
_HIDDEN = r"\1...@"
_USER_OF_URL = re.compile(r"(://)[^/?#\s]*@")
_USER = re.compile(r"^((?:[a-z][a-z0-9+.-]*:)?//|(?=[^@]*:)).*@", re.IGNORECASE | re.DOTALL)
"""The user part of a URL, or of an address without a scheme: a password may hold any character."""


def printable(text: str, longest: int = _LONGEST_QUOTE) -> str:
    """Escape unprintable characters, shorten long text, and hide the password in a URL."""
    text = _USER_OF_URL.sub(_HIDDEN, text)
    if len(text) > longest:
        text = text[:longest] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def quoted(text: str) -> str:
    """Quote a user's text for a sentence, hiding the password if it is a URL."""
    return f'"{printable(_USER.sub(_HIDDEN, text))}"'


def did_you_mean(text: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a sentence that suggests the known word closest to the text; empty if none is close.

    `prefix`, which all words share, is ignored in the comparison. The number of compared words is limited.
    """
    compared = [word.removeprefix(prefix) for word in islice(known, _MOST_COMPARED)]
    close = get_close_matches(text.removeprefix(prefix), compared, n=1)
    return f', did you mean "{prefix}{close[0]}"?' if close else ""
