"""What an image was made of, as an in-toto statement with SLSA's predicate (https://slsa.dev/spec/v1.0/provenance).

scripts/image calls it after a build. Nothing in it depends on the time, and nothing is said that is not known: of files
that are not as in the commit no commit is named, and a base without a digest has none.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

MATERIALS = ("Dockerfile", "requirements/run.txt", "requirements/build.txt")


def sha256(file: str) -> dict[str, str]:
    """A digest set of a file's content."""
    return {"sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}


def bare(digest: str) -> dict[str, str]:
    """A digest set of `sha256:...`."""
    return {"sha256": digest.removeprefix("sha256:")}


def statement(given: argparse.Namespace) -> dict[str, Any]:
    """All of it, of what the command line says."""
    base = {"name": "base", "uri": given.base} | ({"digest": bare(given.base_digest)} if given.base_digest else {})
    source = [{"name": "source", "digest": {"gitCommit": given.commit}}] if given.commit else []
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": given.name, "digest": bare(given.image)}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "https://watchslo.dev/scripts/image/v1",
                "externalParameters": {"PYTHON_IMAGE": given.base},
                "internalParameters": {"SOURCE_DATE_EPOCH": given.epoch},
                "resolvedDependencies": [
                    *source,
                    base,
                    *({"name": file, "digest": sha256(file)} for file in MATERIALS),
                ],
            },
            "runDetails": {
                "builder": {"id": given.builder, "version": {"engine": given.engine}},
                "byproducts": [{"name": Path(given.sbom).name, "digest": sha256(given.sbom)}],
            },
        },
    }


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("name", "image", "base", "base-digest", "commit", "epoch", "builder", "engine", "sbom"):
        parser.add_argument(f"--{name}", required=True)
    print(json.dumps(statement(parser.parse_args()), indent=2))


if __name__ == "__main__":
    main()
