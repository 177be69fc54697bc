"""`watchslo check` as a person calls it: words in, exit code and table out, read by the table's own columns."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from exporter.config import Config, Given, load

LIMIT_SECONDS = 50

Table = dict[str, dict[str, tuple[str, str]]]


@dataclass(frozen=True)
class Ended:
    exit_code: int
    out: str
    err: str

    @property
    def table(self) -> Table:
        return read_table(self.out)

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


async def check(*words: str | Path, environ: Mapping[str, str] = MappingProxyType({})) -> Ended:
    """Runs it in a process of its own, with these settings in its environment and no others."""
    without = {name: text for name, text in os.environ.items() if not name.startswith("WATCHSLO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "exporter", "check"),
        *map(str, words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**without, **environ},
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def read_table(text: str) -> Table:
    """Section -> check -> result and detail, the detail's lines joined by spaces."""
    header, *lines = text.splitlines()[:-2]
    result_at, detail_at = header.index("RESULT"), header.index("DETAIL")
    table: Table = {}
    section = check = ""
    for line in filter(None, lines):
        name, result, detail = line[:result_at].rstrip(), line[result_at:detail_at].strip(), line[detail_at:]
        if not name.startswith(" ") and name:
            section = line
            table[section] = {}
        elif name:
            check = name.strip()
            assert check not in table[section]
            table[section][check] = result, detail
        else:
            before = table[section][check]
            table[section][check] = before[0], f"{before[1]} {detail}"
    return table


@dataclass(frozen=True)
class Rule:
    """A printed RBAC rule, and the namespace of the Role that it belongs into (None: a ClusterRole)."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    namespace: str | None
    only: str | None
    """The one name that it is for."""


def rules_in(table: Table) -> list[Rule]:
    printed = re.compile(
        r"add to a (?:ClusterRole|Role in namespace (?P<namespace>\S+)): "
        r"- \{apiGroups: \[(?P<group>[^\]]+)\], resources: \[(?P<resource>[a-z]+)\]"
        r"(?:, resourceNames: \[(?P<only>[^\]]+)\])?, verbs: \[(?P<verbs>[^\]]+)\]\}"
    )
    return [
        Rule(
            found["group"].strip('"'),
            found["resource"],
            tuple(found["verbs"].split(", ")),
            found["namespace"],
            found["only"],
        )
        for rows in table.values()
        for _, detail in rows.values()
        for found in printed.finditer(detail)
    ]


def config(**settings: str) -> Config:
    """The configuration that these settings make, named as in the file; a list is comma-separated."""
    given = {name: Given(tuple(text.split(",")), f"--{name}") for name, text in settings.items()}
    return load(given, {}).config


def plain_kubeconfig(path: Path, server: str) -> Path:
    """A kubeconfig for a server that asks for nothing; returns `path`."""
    named = {
        "clusters": [{"name": "plain", "cluster": {"server": server}}],
        "users": [{"name": "plain", "user": {"token": "any"}}],
        "contexts": [{"name": "plain", "context": {"cluster": "plain", "user": "plain"}}],
    }
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "plain", **named}))
    return path
