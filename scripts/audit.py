"""`make audit`: what OSV, an advisory database that pip-audit asks too, knows against the packages in requirements/.

It ends with 0 only if the database was asked about every package and knows of nothing, with 1 if it knows of something,
and with 3 if it could not be asked. OSV_URL is for one that is somewhere else.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[1] / "requirements"
LOCKED = re.compile(r"^([a-z0-9-]+)==([^\s;]+)", re.MULTILINE)
KNOWN = ("aiohttp", "3.9.0")
"""A database that knows nothing against this one, which has a dozen advisories, knows nothing against any."""
CLEAN, FOUND, NOT_ASKED = 0, 1, 3
LIMIT_SECONDS = 30
MOST_PAGES = 10

Package = tuple[str, str]


class NotAskedError(Exception):
    """Why nothing is known."""


def locked() -> dict[Package, list[str]]:
    """Every package with its version, and the files that lock it."""
    found: dict[Package, list[str]] = {}
    for file in sorted(REQUIREMENTS.glob("*.txt")):
        for name, version in LOCKED.findall(file.read_text(encoding="utf-8")):
            found.setdefault((name, version), []).append(file.name)
    return found


def advisories(packages: list[Package], url: str) -> dict[Package, list[str]]:
    """The ids of the advisories against each package. Raises NotAskedError."""
    found: dict[Package, list[str]] = {package: [] for package in (*packages, KNOWN)}
    pages = dict.fromkeys(found, "")
    for _ in range(MOST_PAGES):
        queries = [
            {"package": {"ecosystem": "PyPI", "name": name}, "version": version, "page_token": page}
            for (name, version), page in pages.items()
        ]
        answers = dict(zip(pages, _answers(url, queries), strict=True))
        for package, (ids, _) in answers.items():
            found[package] += ids
        pages = {package: page for package, (_, page) in answers.items() if page}
        if not pages:
            if not found.pop(KNOWN):
                raise NotAskedError(f"it knows nothing against {'=='.join(KNOWN)}, so its silence says nothing")
            return found
    raise NotAskedError(f"more than {MOST_PAGES} pages of answers")


def _answers(url: str, queries: list[dict[str, Any]]) -> list[tuple[list[str], str]]:
    """For each query the ids on this page, and where the next one is."""
    body = json.dumps({"queries": queries}).encode()
    asked = urllib.request.Request(f"{url}/v1/querybatch", body, {"Content-Type": "application/json"})  # noqa: S310 ours
    try:
        with urllib.request.urlopen(asked, timeout=LIMIT_SECONDS) as answer:  # noqa: S310 ours
            results = json.load(answer)["results"]
        answers = [
            ([one["id"] for one in found.get("vulns", [])], found.get("next_page_token", "")) for found in results
        ]
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotAskedError(str(error)) from error
    if len(answers) != len(queries):
        raise NotAskedError(f"{len(answers)} answers to {len(queries)} questions")
    return answers


def main() -> int:
    """Ask, and print what is known: the exit code."""
    url = os.environ.get("OSV_URL", "https://api.osv.dev")
    files = locked()
    try:
        found = advisories(list(files), url)
    except NotAskedError as error:
        print(f"audit: NOT AUDITED: {url} could not be asked: {error}", file=sys.stderr)
        return NOT_ASKED
    bad = {package: ids for package, ids in found.items() if ids}
    for (name, version), ids in bad.items():
        print(f"{name}=={version} ({', '.join(files[name, version])}): {', '.join(ids)}")
    print(f"audit: {url} knows of advisories against {len(bad)} of {len(files)} locked packages")
    return FOUND if bad else CLEAN


if __name__ == "__main__":
    sys.exit(main())
