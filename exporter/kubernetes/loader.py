"""What kubernetes_asyncio knows of kubeconfigs and service accounts, without the rest of it.

Whatever part of it is imported, the package imports its whole client first, hundreds of models and calls: 0.4 s of CPU
and 34 MB for a process that has a client of its own. Its loader needs one class of that.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PACKAGE, _CLIENT = "kubernetes_asyncio", "kubernetes_asyncio.client"

TOKEN_FILE_SECONDS = 60.0
"""After this time the file of a token is read again, as client-go does: whoever writes it does that in good time."""


class Loader(NamedTuple):
    """The package's module `config`, and the class of what it fills."""

    config: Any
    new_configuration: Any


@cache
def loader() -> Loader:
    """Import it: alone if that can be done, else with all the rest."""
    _have_a_home()
    imported = _imported()
    with suppress(AttributeError):  # another version of the package, or a system without such files
        _keep_in_memory(imported.config.kube_config.FileOrData, os.memfd_create)
    return imported


def _imported() -> Loader:
    if _PACKAGE not in sys.modules:
        with suppress(ImportError), _unexecuted(_PACKAGE, _CLIENT) as (_, client):
            client.Configuration = import_module(f"{_CLIENT}.configuration").Configuration
            client.ApiClient = None  # named by functions of the loader that make clients
            return Loader(import_module(f"{_PACKAGE}.config"), client.Configuration)
    return Loader(import_module(f"{_PACKAGE}.config"), import_module(_CLIENT).Configuration)


_in_memory_now: ContextVar[list[int]] = ContextVar("_in_memory_now")


@contextmanager
def files_in_memory() -> Iterator[None]:
    """Meanwhile certificates and keys that stand in a kubeconfig have names as files have, and are on no disk.

    The package writes them into the temporary folder, which may be read-only, and OpenSSL takes keys from files alone.
    """
    descriptors: list[int] = []
    before = _in_memory_now.set(descriptors)
    try:
        yield
    finally:
        _in_memory_now.reset(before)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep_in_memory(file_or_data: Any, create: Callable[[str], int]) -> None:
    on_disk = file_or_data._create_temp_file_with_content  # noqa: SLF001 the package has no other way

    def in_memory(self: object, content: str | bytes) -> str:
        descriptors = _in_memory_now.get(None)
        if descriptors is None:
            return str(on_disk(self, content))  # somebody else uses the package
        descriptors.append(create("kubeconfig"))
        with open(descriptors[-1], "wb", closefd=False) as file:
            file.write(content.encode() if isinstance(content, str) else content)
        return f"/proc/self/fd/{descriptors[-1]}"

    file_or_data._create_temp_file_with_content = in_memory  # noqa: SLF001 as above


class Contexts(NamedTuple):
    """The contexts that a kubeconfig has, and the one that it says is current."""

    names: list[str]
    current: str | None


class Kubeconfig:
    """One or more files, merged. Raises whatever the package raises."""

    def __init__(self, paths: str | None) -> None:
        self._library = loader().config.kube_config
        self._merged = self._library.KubeConfigMerger(paths or self._library.KUBE_CONFIG_DEFAULT_LOCATION).config

    @property
    def contexts(self) -> Contexts:
        """What may be chosen."""
        said = self._merged.value
        return Contexts([str(node["name"]) for node in said["contexts"]], said.get("current-context") or None)

    def user_of(self, context: str | None) -> User:
        """Whoever the context names; None is the current one."""
        users = self._library.KubeConfigLoader
        return User(users(config_dict=self._merged, config_base_path=None, active_context=context), self._library)


class User:
    """The user of a context, with its cluster, as the package reads them.

    The package forgets when a plugin's certificates expire, and reads the file of a token only once: that is done here.
    """

    def __init__(self, user: Any, library: Any) -> None:
        self._user = user
        self._library = library
        self._token_read_at = 0.0
        user.load_from_exec_plugin = self._ask_plugin
        self.expires: float | None = None
        """When what the plugin said is good no more, in seconds since the epoch; None if it did not say so."""

    @property
    def provider(self) -> str | None:
        """The auth-provider, of those that Kubernetes had before plugins."""
        return None if self._user.provider is None else str(self._user.provider)

    async def log_in(self, configuration: Any) -> None:
        """Fill the package's configuration. Raises whatever the package raises."""
        await self._user.load_and_set(configuration)
        said = self._user._user  # noqa: SLF001 nothing else of it tells
        if said is not None and said.safe_get("tokenFile") and not said.safe_get("token"):
            self._token_read_at = time.monotonic()
            configuration.refresh_api_key_hook = self._read_token_again

    def _read_token_again(self, configuration: Any) -> None:
        if time.monotonic() - self._token_read_at < TOKEN_FILE_SECONDS:
            return
        self._token_read_at = time.monotonic()
        with suppress(OSError):  # it is just being replaced: the one before is good for a while
            if self._user._load_user_token():  # noqa: SLF001 the package has no other way
                configuration.api_key["BearerToken"] = self._user.token

    async def _ask_plugin(self) -> bool:
        status = await self._library.ExecProvider(self._user._user["exec"]).run()  # noqa: SLF001 as above
        has_certificate = "clientCertificateData" in status and "clientKeyData" in status
        if "token" not in status and not has_certificate:
            raise self._library.ConfigException("exec: the plugin gave neither a token nor a certificate with its key")
        if "token" in status:
            self._user.token = f"Bearer {status['token']}"
        if has_certificate:
            self._user.cert_file = self._file_of(status, "clientCertificateData")
            self._user.key_file = self._file_of(status, "clientKeyData")
        if status.get("expirationTimestamp"):
            expires = datetime.fromisoformat(status["expirationTimestamp"])
            self.expires = (expires if expires.tzinfo else expires.replace(tzinfo=UTC)).timestamp()
        return True

    def _file_of(self, status: Any, key: str) -> Any:
        return self._library.FileOrData(status, None, data_key_name=key, base64_file_content=False).as_file()


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
