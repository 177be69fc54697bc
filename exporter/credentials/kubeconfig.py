"""Uses kubernetes_asyncio to read kubeconfigs and service accounts, without importing its client.

The package always imports its whole client, hundreds of models: 0.4 s of CPU and 34 MB that we do not need. Its loader
needs only one class of it.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from exporter.config.reading import content_of
from exporter.credentials import plugin
from exporter.limits import refused_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

_PACKAGE, _CLIENT = "kubernetes_asyncio", "kubernetes_asyncio.client"

TOKEN_FILE_SECONDS = 60.0
"""A token file is read again after this time, as client-go does."""


class Loader(NamedTuple):
    """The package's module `config`, and the class `Configuration`, which it fills."""

    config: Any
    new_configuration: Any


@cache
def loader() -> Loader:
    """Import the loader: alone if possible, else with the whole package."""
    _have_a_home()
    imported = _imported()
    with suppress(AttributeError):  # another version of the package
        kube_config, incluster_config = imported.config.kube_config, imported.config.incluster_config
        kube_config.open = incluster_config.open = _open  # it has no other way
        _keep_in_memory(kube_config.FileOrData)
    return imported


def _imported() -> Loader:
    if _PACKAGE not in sys.modules:
        with suppress(ImportError), _unexecuted(_PACKAGE, _CLIENT) as (_, client):
            client.Configuration = import_module(f"{_CLIENT}.configuration").Configuration
            client.ApiClient = None  # named by functions of the loader that make clients
            return Loader(import_module(f"{_PACKAGE}.config"), client.Configuration)
    return Loader(import_module(f"{_PACKAGE}.config"), import_module(_CLIENT).Configuration)


def read(path: str | Path) -> bytes:
    """Read a kubeconfig, token or certificate. Raises OSError, or ValueError if it is not a text file or too long."""
    try:
        return content_of(path)
    except ValueError as error:
        refused_texts.count("credentials")
        raise ValueError(f"{path} {error}") from None


def _open(path: str, mode: str = "r") -> IO[Any]:
    """Replaces `open` in the package."""
    return io.StringIO(read(path).decode()) if mode == "r" else Path(path).open(mode)


_files_now: ContextVar[ExitStack] = ContextVar("_files_now")


@contextmanager
def files_in_memory() -> Iterator[None]:
    """Within the block, certificates and keys of a kubeconfig are written to files in memory instead of to disk.

    The package would leave them in the temporary folder, which may be read-only; OpenSSL reads keys only from files.
    """
    with ExitStack() as files:
        before = _files_now.set(files)
        try:
            yield
        finally:
            _files_now.reset(before)


def _keep_in_memory(file_or_data: Any) -> None:
    on_disk = file_or_data._create_temp_file_with_content  # noqa: SLF001 the package has no other way

    def in_memory(self: object, content: str | bytes) -> str:
        files = _files_now.get(None)
        if files is None:
            return str(on_disk(self, content))  # called by other code that uses the package
        file, name = _brief_file()
        files.enter_context(file)
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        return name

    file_or_data._create_temp_file_with_content = in_memory  # noqa: SLF001 as above


def _brief_file() -> tuple[Any, str]:
    """A file that is deleted when it is closed, and its name."""
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("kubeconfig"), "wb")
        return file, f"/proc/self/fd/{file.fileno()}"
    named = tempfile.NamedTemporaryFile()  # noqa: SIM115 the caller closes it
    return named, named.name


class Contexts(NamedTuple):
    """The contexts of a kubeconfig, and its current-context."""

    names: list[str]
    current: str | None


class Kubeconfig:
    """One or more files, merged. Raises whatever the package raises."""

    def __init__(self, paths: str) -> None:
        self._library = loader().config.kube_config
        self._merged = self._library.KubeConfigMerger(paths).config
        for kind in ("clusters", "contexts", "users") if self._merged is not None else ():
            for node in self._merged.value[kind]:
                node.name = f"{kind}[name={node['name']}]"  # by default its whole content, in every error message

    @property
    def contexts(self) -> Contexts:
        """The contexts that can be chosen."""
        said = self._merged.value
        return Contexts([str(node["name"]) for node in said["contexts"]], said.get("current-context") or None)

    def user_of(self, context: str | None) -> User:
        """The user of a context; None for the current context."""
        users = self._library.KubeConfigLoader
        return User(users(config_dict=self._merged, config_base_path=None, active_context=context), self._library)


class User:
    """The user of a context, with its cluster, as the package reads them.

    The package ignores when a plugin's certificates expire, and reads a token file only once: this class does both.
    """

    def __init__(self, user: Any, library: Any) -> None:
        self._user = user
        self._library = library
        self._token_read_at = 0.0
        user.load_from_exec_plugin = self._ask_plugin
        user._refresh_oidc = self._refuse_to_refresh  # noqa: SLF001 it sends secrets without verifying certificates
        self.expires: float | None = None
        """When the plugin's credentials expire, in seconds since the epoch; None if it did not say so."""

    @property
    def provider(self) -> str | None:
        """The auth-provider, which Kubernetes had before exec plugins."""
        return None if self._user.provider is None else str(self._user.provider)

    async def log_in(self, configuration: Any) -> None:
        """Fill the package's configuration. Raises whatever the package raises."""
        await self._user.load_and_set(configuration)
        said = self._user._user  # noqa: SLF001 it has no other way
        if said is not None and said.safe_get("tokenFile") and not said.safe_get("token"):
            self._token_read_at = time.monotonic()
            configuration.refresh_api_key_hook = self._read_token_again

    def _read_token_again(self, configuration: Any) -> None:
        if time.monotonic() - self._token_read_at < TOKEN_FILE_SECONDS:
            return
        self._token_read_at = time.monotonic()
        with suppress(OSError):  # it is just being replaced, and the previous token is still valid
            if self._user._load_user_token():  # noqa: SLF001 the package has no other way
                configuration.api_key["BearerToken"] = self._user.token

    async def _ask_plugin(self) -> bool:
        described = self._library.ExecProvider(self._user._user["exec"])  # noqa: SLF001 as above
        said = await plugin.ask(described.args, described.env, described.api_version)
        if said.token is not None:
            self._user.token = f"Bearer {said.token}"
        if said.client_certificate_data is not None and said.client_key_data is not None:
            self._user.cert_file = self._file_of(said.client_certificate_data)
            self._user.key_file = self._file_of(said.client_key_data)
        elif said.token is None:
            raise ValueError("exec: the plugin gave neither a token nor a certificate with its key")
        if said.expiration_timestamp:
            self.expires = _timestamp(said.expiration_timestamp)
        return True

    async def _refuse_to_refresh(self, _: Any) -> None:
        raise ValueError("its id-token is missing or has expired")

    def _file_of(self, content: str) -> Any:
        return self._library.FileOrData({"it": content}, None, data_key_name="it", base64_file_content=False).as_file()


def _timestamp(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("exec: the plugin's expirationTimestamp is not a time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@contextmanager
def _unexecuted(*packages: str) -> Iterator[list[Any]]:
    """Within the block, modules of these packages can be imported without running the packages' own `__init__`.

    No other code of this process imports the package.
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
    """Set HOME if it is missing, because the package cannot be imported without it."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = "/"
