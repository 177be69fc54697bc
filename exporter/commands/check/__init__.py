"""`watchslo check`: one table of everything that the daemon would need, and whether it is there.

It watches and writes nothing; the table also has what was not checked.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from exporter.commands.check.inspection import inspect
from exporter.commands.check.report import report
from exporter.commands.text_table import width_of
from exporter.config import ConfigError
from exporter.credentials import CredentialsError
from exporter.kubernetes.apiservers import MOST_APISERVERS, find_apiservers, why_unreached
from exporter.kubernetes.errors import StartError
from exporter.kubernetes.session import ApiSession
from exporter.service import loop
from exporter.service.daemon import CANNOT_START, load_credentials
from exporter.service.fleet import home_of, named_servers

if TYPE_CHECKING:
    from exporter.commands.check.findings import Findings
    from exporter.config import Config

__all__ = ["findings_of", "report", "run"]


def run(config: Config) -> int:
    """Print the table and a last line, `all good` or what is missing: 0 if all is good, else 2."""
    try:
        all_findings = loop.run(findings_of(config))
    except CredentialsError as error:
        print(f"watchslo: error: {error}", file=sys.stderr)  # noqa: T201 a command line prints
        return CANNOT_START
    reports = [report(findings, width_of(sys.stdout)) for findings in all_findings]
    print("\n\n".join(text for text, _ in reports))  # noqa: T201 a command line prints
    return 0 if all(is_good for _, is_good in reports) else CANNOT_START


async def findings_of(config: Config) -> list[Findings]:
    """The findings about each address that the daemon would watch. Raises CredentialsError or ConfigError."""
    credentials = await load_credentials(config)
    home = home_of(credentials)
    found, unreached = named_servers(config), None
    if config.discover_apiservers:
        session = ApiSession(home, credentials)
        try:
            (found, _), why = await find_apiservers(session), "there is none"
        except StartError as error:
            found, why = [], f"{error.reason}: {error}"
        await session.close()
        if not found:
            raise ConfigError(
                "--apiserver.discover: no apiserver found: it needs permission to list endpointslices.discovery.k8s.io "
                f"in namespace default, and at least one endpoint there ({why})"
            )
        if len(found) > MOST_APISERVERS:
            left_out = (
                f"{len(found) - MOST_APISERVERS} of {len(found)} apiservers are left out: at most {MOST_APISERVERS}"
            )
            print(f"watchslo: warning: --apiserver.discover: {left_out}", file=sys.stderr)  # noqa: T201 as above
            found = found[:MOST_APISERVERS]
        unreached = await why_unreached(home, found, lambda server: ApiSession(server, credentials))
    watched = found if found and unreached is None else [home]
    return await asyncio.gather(*(inspect(config, credentials, server, unreached) for server in watched))
