"""`python -m exporter` is `watchslo`."""

import sys

from exporter.python_version import expect_python

expect_python()

from exporter.cli import main  # noqa: E402 an older Python cannot even import it

if __name__ == "__main__":
    sys.exit(main())
