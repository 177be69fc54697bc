"""A kubeconfig or a Pod's service account in, who we are out. kubernetes_asyncio is known here and in loader.py only.

Tokens rotate, exec plugins expire, certificates are replaced: what the apiserver refused is loaded anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import time
import urllib.request
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from exporter.kubernetes.loader import loader

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOADING_SECONDS = 30.0
"""How long an exec plugin may take; the library itself would wait for ever."""

RENEWAL_PAUSE_SECONDS = 10.0


class CredentialsError(Exception):
    """The credentials cannot be loaded; the message is one sentence for the user."""


class Credentials:
    """Who we are for a cluster, as a kubeconfig or a Pod's service account says it."""

    def __init__(  # noqa: PLR0913 where to load from, and how patiently
        self,
        kubeconfig: Path | None,
        context: str | None,
        tls_server_name: str | None,
        service_account: Path = SERVICE_ACCOUNT,
        *,
        loading_seconds: float = LOADING_SECONDS,
        renewal_pause_seconds: float = RENEWAL_PAUSE_SECONDS,
    ) -> None:
        self._loading_seconds = loading_seconds
        self._renewal_pause_seconds = renewal_pause_seconds
        self._kubeconfig = kubeconfig
        self._context = context
        self._tls_server_name = tls_server_name
        self._service_account = service_account
        self._loaded: Any = None
        self._loaded_at = 0.0
        self._must_renew = False
        self._lock = asyncio.Lock()
        self._tls_material: tuple[object, ...] = ()
        self.generation = 0
        """Grows whenever certificates have changed: sessions made before are stale."""
        self.ssl: ssl.SSLContext | None = None

    async def load(self) -> None:
        """Load, or load again. Raises CredentialsError."""
        config, new_configuration = loader()
        # It logs what it raises as well.
        logging.getLogger("kubernetes_asyncio").setLevel(logging.CRITICAL)
        self._expect_a_kubeconfig()
        loaded = new_configuration()
        try:
            if self._is_in_cluster():
                config.load_incluster_config(
                    client_configuration=loaded,
                    token_filename=str(self._service_account / "token"),
                    cert_filename=str(self._service_account / "ca.crt"),
                )
            else:
                async with asyncio.timeout(self._loading_seconds):
                    await config.load_kube_config(
                        config_file=str(self._kubeconfig) if self._kubeconfig else None,
                        context=self._context,
                        client_configuration=loaded,
                        persist_config=False,
                    )
            self._use_tls_material(loaded)
        except TimeoutError:
            raise CredentialsError(f"the credentials were not loaded within {self._loading_seconds:.0f} s") from None
        except (
            config.ConfigException,
            yaml.YAMLError,
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            raise CredentialsError(f"{self._origin()}: {_one_line(error)}") from error
        self._loaded = loaded
        self._loaded_at = time.monotonic()
        self._must_renew = False

    @property
    def server_url(self) -> str:
        """The server that the kubeconfig, or the Pod's environment, names."""
        return str(self._loaded.host).rstrip("/")

    @property
    def tls_server_name(self) -> str | None:
        """The name to verify instead of the address."""
        return self._tls_server_name or self._loaded.tls_server_name

    @property
    def pod_namespace(self) -> str | None:
        """The namespace of the Pod that we run in; None outside of a cluster."""
        if not self._is_in_cluster():
            return None
        return (self._service_account / "namespace").read_text(encoding="utf-8").strip()

    @property
    def pod_name(self) -> str:
        """The name of that Pod: its host name, unless its template sets another."""
        return socket.gethostname()

    def proxy(self, url: str) -> str | None:
        """The HTTP proxy for `url`: the kubeconfig's, else the environment's."""
        if self._loaded.proxy:
            return str(self._loaded.proxy)
        parts = urlsplit(url)
        if _is_excepted_from_proxy(parts.hostname or ""):
            return None
        return urllib.request.getproxies().get(parts.scheme)

    def refused(self) -> None:
        """The apiserver did not accept them, or the TLS handshake failed: load anew before the next request."""
        self._must_renew = True

    async def headers(self) -> Mapping[str, str]:
        """The Authorization header of a request made now; renews what was refused. Raises CredentialsError."""
        if self._must_renew and time.monotonic() - self._loaded_at > self._renewal_pause_seconds:
            async with self._lock:
                if self._must_renew:
                    # Set first: a plugin that fails is not run again for every request.
                    self._loaded_at = time.monotonic()
                    await self.load()
        token = (await self._token()).strip()
        if any(character in token for character in "\r\n\0"):
            raise CredentialsError(f"{self._origin()}: the token is more than one line")
        return {"Authorization": token} if token else {}

    async def _token(self) -> str:
        """The token with its scheme, or "". A service account's file is read again from time to time."""
        try:
            return await self._loaded.get_api_key_with_prefix("BearerToken") or ""
        except (loader().config.ConfigException, OSError, UnicodeDecodeError) as error:
            raise CredentialsError(f"{self._origin()}: {_one_line(error)}") from error

    def _use_tls_material(self, loaded: Any) -> None:
        """A new TLS context, and with it new connections, only for what is new: a new token cuts no open watch."""
        files = [Path(name) for name in (loaded.ssl_ca_cert, loaded.cert_file, loaded.key_file) if name]
        material = (loaded.host, loaded.verify_ssl, *(file.read_bytes() for file in files))
        if material != self._tls_material:
            self.ssl = _ssl_context(loaded)
            self._tls_material = material
            self.generation += 1

    def _expect_a_kubeconfig(self) -> None:
        """The library takes a file that is not there for an empty one, and complains of that."""
        if self._kubeconfig is not None or self._is_in_cluster():
            return
        paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
        if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep)):
            raise CredentialsError(f"no credentials: this is no Pod, and there is no kubeconfig at {paths}")

    def _is_in_cluster(self) -> bool:
        in_pod = os.environ.get("KUBERNETES_SERVICE_HOST") and (self._service_account / "token").is_file()
        return self._kubeconfig is None and bool(in_pod)

    def _origin(self) -> str:
        if self._is_in_cluster():
            return "in-cluster credentials"
        return f"kubeconfig {self._kubeconfig or os.environ.get('KUBECONFIG') or '~/.kube/config'}"


def _ssl_context(loaded: Any) -> ssl.SSLContext | None:
    if not str(loaded.host).startswith("https"):
        return None
    context = ssl.create_default_context(cafile=loaded.ssl_ca_cert or None)
    # Python 3.13 asks for extensions that the CAs of many clusters lack; Go's clients do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not loaded.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if loaded.cert_file:
        context.load_cert_chain(loaded.cert_file, loaded.key_file)
    return context


def _is_excepted_from_proxy(host: str) -> bool:
    """What NO_PROXY says. The standard library knows names only; a cluster's networks are written there as well."""
    if urllib.request.proxy_bypass(host):
        return True
    for excepted in urllib.request.getproxies().get("no", "").split(","):
        with suppress(ValueError):  # a name
            if ip_address(host) in ip_network(excepted.strip(), strict=False):
                return True
    return False


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
