"""Credentials in, HTTP sessions to one apiserver address out. kubernetes_asyncio is known here only.

Tokens rotate, exec plugins expire, certificates are replaced: after a 401 or a TLS failure everything is loaded anew.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOADING_SECONDS = 30.0
"""How long an exec plugin may take; the library itself would wait for ever."""

RENEWAL_PAUSE_SECONDS = 10.0
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
KEEP_ALIVE_SECONDS = 3600.0
"""The apiserver closes idle connections after 90 s; we have no reason to."""

ANSWER_IN_TIME = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
STREAM = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)

METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
METADATA_WATCH = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)
"""What a request raises when there is no answer."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an answer raises that is not the JSON it should be: any of these may come from a proxy."""


class CredentialsError(Exception):
    """The credentials cannot be loaded; the message is one sentence for the user."""


class AnswerError(Exception):
    """The apiserver answered, but not with what was asked for. `status` is the HTTP status."""

    def __init__(self, status: int, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Server:
    """One address that we talk to. `name` is its label, host:port; it may be a balancer unless `is_one_apiserver`."""

    url: str
    is_one_apiserver: bool

    @property
    def name(self) -> str:
        """host:port, with the scheme's port where the address has none."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


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
        # The import costs half a second and 40 MB: only who needs credentials pays it.
        from kubernetes_asyncio import client, config  # noqa: PLC0415 see above

        # It logs what it raises as well.
        logging.getLogger("kubernetes_asyncio").setLevel(logging.CRITICAL)
        self._expect_a_kubeconfig()
        loaded = client.Configuration()
        try:
            if self._is_in_cluster():
                config.load_incluster_config(  # type: ignore[no-untyped-call]
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
        from kubernetes_asyncio import config  # noqa: PLC0415 see load

        try:
            return await self._loaded.get_api_key_with_prefix("BearerToken") or ""
        except (config.ConfigException, OSError, UnicodeDecodeError) as error:
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


class ApiSession:
    """Requests to one address with one set of credentials. Each session has connections of its own."""

    def __init__(
        self,
        server: Server,
        credentials: Credentials,
        *,
        connections: int = 0,
        force_close: bool = False,
        trace: aiohttp.TraceConfig | None = None,
    ) -> None:
        self.server = server
        self.credentials = credentials
        self._connections = connections
        self._force_close = force_close
        self._trace = trace
        self._http: aiohttp.ClientSession | None = None
        self._generation = -1

    async def get(  # noqa: PLR0913 one keyword for each thing that a request may ask for
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        time_limit: aiohttp.ClientTimeout = ANSWER_IN_TIME,
        trace_context: object = None,
        method: str = "GET",
        body: object = None,
    ) -> aiohttp.ClientResponse:
        """Send one request; the response must be closed by the caller. Raises UNREACHABLE or CredentialsError."""
        headers = {"Accept": accept, "Accept-Encoding": "identity", **await self.credentials.headers()}
        http = await self._current_http()
        url = self.server.url + path
        try:
            response = await http.request(
                method,
                url,
                params=params,
                json=body,
                headers=headers,
                timeout=time_limit,
                proxy=self.credentials.proxy(url),
                server_hostname=self.credentials.tls_server_name if url.startswith("https") else None,
                allow_redirects=False,
                trace_request_ctx=trace_context,
            )
        except aiohttp.ClientSSLError:
            self.credentials.refused()
            raise
        if response.status == 401:
            self.credentials.refused()
        return response

    async def get_json(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "application/json",
        method: str = "GET",
        body: object = None,
    ) -> Any:
        """The decoded body of a 2xx answer. Raises AnswerError, UNREACHABLE or CredentialsError."""
        response = await self.get(path, params, accept=accept, method=method, body=body)
        async with response:
            content = await response.read()
            if response.status >= 300:
                raise refusal(response, content)
            try:
                return msgspec.json.decode(content)
            except UNREADABLE as error:
                raise AnswerError(response.status, f"{path}: the answer is not JSON ({error})") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _current_http(self) -> aiohttp.ClientSession:
        if self._http is not None and self._generation != self.credentials.generation:
            await self.close()
        if self._http is None:
            self._generation = self.credentials.generation
            connector = aiohttp.TCPConnector(
                ssl=self.credentials.ssl or True,
                limit=self._connections,
                force_close=self._force_close,
                keepalive_timeout=None if self._force_close else KEEP_ALIVE_SECONDS,
            )
            self._http = aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": "watchslo"},
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[self._trace] if self._trace else [],
            )
        return self._http


class _Status(msgspec.Struct):
    message: str = ""


def refusal(response: aiohttp.ClientResponse, content: bytes) -> AnswerError:
    """What a non-2xx answer says, as an error to raise or to read."""
    try:
        message = msgspec.json.decode(content, type=_Status).message
    except UNREADABLE:
        message = ""
    return AnswerError(response.status, message or f"HTTP {response.status}", retry_after_seconds(response))


def retry_after_seconds(response: aiohttp.ClientResponse) -> float | None:
    """The Retry-After header in seconds; None if there is none or it is no number (the apiserver sends numbers)."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdecimal() else None


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
