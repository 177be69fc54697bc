"""What kubernetes_asyncio knows of kubeconfigs and service accounts, without the rest of it.

Whatever part of it is imported, the package imports its whole client first, hundreds of models and calls: 0.4 s of CPU
and 34 MB for a process that has a client of its own. Its loader needs one class of that.
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
    """A kubeconfig, a token or a certificate. Raises OSError, or ValueError if it is no such file, or too long."""
    try:
        return content_of(path)
    except ValueError as error:
        refused_texts.count("credentials")
        raise ValueError(f"{path} {error}") from None


def _open(path: str, mode: str = "r") -> IO[Any]:
    """What the package opens files with."""
    return io.StringIO(read(path).decode()) if mode == "r" else Path(path).open(mode)


_files_now: ContextVar[ExitStack] = ContextVar("_files_now")


@contextmanager
def files_in_memory() -> Iterator[None]:
    """Meanwhile certificates and keys that stand in a kubeconfig have names as files have, and are on no disk.

    The package would leave them in the temporary folder, which may be read-only; OpenSSL takes keys from files alone.
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
            return str(on_disk(self, content))  # somebody else uses the package
        file, name = _brief_file()
        files.enter_context(file)
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        return name

    file_or_data._create_temp_file_with_content = in_memory  # noqa: SLF001 as above


def _brief_file() -> tuple[Any, str]:
    """A file that is gone once it is closed, and its name."""
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("kubeconfig"), "wb")
        return file, f"/proc/self/fd/{file.fileno()}"
    named = tempfile.NamedTemporaryFile()  # noqa: SIM115 whoever asks closes it
    return named, named.name


class Contexts(NamedTuple):
    """The contexts that a kubeconfig has, and the one that it says is current."""

    names: list[str]
    current: str | None


class Kubeconfig:
    """One or more files, merged. Raises whatever the package raises."""

    def __init__(self, paths: str) -> None:
        self._library = loader().config.kube_config
        self._merged = self._library.KubeConfigMerger(paths).config
        for kind in ("clusters", "contexts", "users") if self._merged is not None else ():
            for node in self._merged.value[kind]:
                node.name = f"{kind}[name={node['name']}]"  # it would be all of its content, in every complaint

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
        user._refresh_oidc = self._refuse_to_refresh  # noqa: SLF001 it verifies no certificate of whom it sends secrets to
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
