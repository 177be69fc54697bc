"""What kubernetes_asyncio knows of kubeconfigs and service accounts, without the rest of it.

Whatever part of it is imported, the package imports its whole client first, hundreds of models and calls: 0.4 s of CPU
and 34 MB for a process that has a client of its own. Its loader needs one class of that.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE, _CLIENT = "kubernetes_asyncio", "kubernetes_asyncio.client"


class Loader(NamedTuple):
    """The package's module `config`, and the class of what it fills."""

    config: Any
    new_configuration: Any


@cache
def loader() -> Loader:
    """Import it: alone if that can be done, else with all the rest."""
    _have_a_home()
    if _PACKAGE not in sys.modules:
        with suppress(ImportError), _unexecuted(_PACKAGE, _CLIENT) as (_, client):
            client.Configuration = import_module(f"{_CLIENT}.configuration").Configuration
            client.ApiClient = None  # named by functions of the loader that make clients
            return Loader(import_module(f"{_PACKAGE}.config"), client.Configuration)
    return Loader(import_module(f"{_PACKAGE}.config"), import_module(_CLIENT).Configuration)


@contextmanager
def _unexecuted(*packages: str) -> Iterator[list[Any]]:
    """Meanwhile the modules of these packages can be imported one by one; those that were stay as they are.

    Nobody else in this process imports the package.
    """
    made = []
    try:
        for name in packages:
            spec = find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(name=name)
            sys.modules[name] = module_from_spec(spec)
            made.append(sys.modules[name])
        yield made
    finally:
        for name in packages:
            sys.modules.pop(name, None)


def _have_a_home() -> None:
    """It cannot be imported by a user without one, even if it has nothing to look for there."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"
