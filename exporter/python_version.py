"""One sentence for whoever has an older Python than the rest of this is written for. This file is for any Python 3."""

import sys


def expect_python() -> None:
    """Exit with a sentence if this Python is too old."""
    if sys.version_info < (3, 11):  # noqa: UP036 in a checkout no installer has looked
        ours = ".".join(map(str, sys.version_info[:2]))
        sys.stderr.write("watchslo: error: needs Python 3.11 or newer, and this is " + ours + "\n")
        sys.exit(2)


if __name__ == "__main__":
    expect_python()
