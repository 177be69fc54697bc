"""How refusals quote what a user wrote: on one line, not too long, and with a hint where a slip is likely."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST_QUOTE = 200


def printable(text: str) -> str:
    """Escape what would break the line or the terminal, and shorten what would fill the screen."""
    if len(text) > _LONGEST_QUOTE:
        text = text[:_LONGEST_QUOTE] + "..."
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def quoted(text: str) -> str:
    """Put a user's text into quotes for a sentence."""
    return f'"{printable(text)}"'


def listed(text: str) -> tuple[str, ...]:
    """What stands between commas, if anything does."""
    return tuple(part for item in text.split(",") if (part := item.strip()))


def did_you_mean(text: str, known: Iterable[str], prefix: str = "") -> str:
    """End of a sentence that names the known word closest to the text; empty if none is close.

    A prefix that all words have in common makes none of them closer.
    """
    close = get_close_matches(text.removeprefix(prefix), [word.removeprefix(prefix) for word in known], n=1)
    return f', did you mean "{prefix}{close[0]}"?' if close else ""
