"""Loads, renews and applies credentials. kubernetes_asyncio is used here and in kubeconfig.py only.

Tokens and certificates are replaced from time to time: credentials are loaded again before they expire, and as soon as
the apiserver has refused them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import ssl
import time
import urllib.request
from contextlib import suppress
from ipaddress import ip_address, ip_network
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
import yaml

from exporter.config.names import is_loopback
from exporter.config.parsers import apiserver_url, server_name
from exporter.credentials.kubeconfig import Kubeconfig, files_in_memory, loader, read
from exporter.wording.quoting import did_you_mean, printable, quoted
from exporter.wording.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.credentials.kubeconfig import Contexts, User
    from exporter.measure.times import WallTime

log = logging.getLogger(__name__)

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOADING_SECONDS = 30.0
"""Time limit for an exec plugin."""

RENEWAL_PAUSE_SECONDS = 10.0

EARLY_SECONDS = 60.0
"""Credentials are renewed this long before they expire, but not before nine tenths of their lifetime are over."""

SHORTEST_SECONDS = 1.0
"""A shorter lifetime is ignored: the apiserver's 401 shows when the credentials have expired."""

_SERVER = re.compile(r"([a-z]+://[^/]*)(/[!-\"$->@-~]*)?", re.IGNORECASE)
"""The address, and a path without a query, as gateways to several clusters use."""

MOST_CONTEXTS = 10
"""Maximum of names listed in an error message."""

AUTH_PROVIDERS = {
    "gcp": "use the exec plugin gke-gcloud-auth-plugin, which `gcloud container clusters get-credentials` writes down",
    "azure": "use the exec plugin kubelogin, which `kubelogin convert-kubeconfig` writes down",
}
"""Replacements for the auth providers that Kubernetes 1.26 removed."""

OIDC_PLUGIN = "the exec plugin kubelogin (kubectl oidc-login) renews such tokens by itself"


class CredentialsError(Exception):
    """The credentials cannot be loaded; the message is one sentence for the user."""


class LoadedCredentials(msgspec.Struct, frozen=True):
    """Loaded credentials."""

    origin: str
    """Their source, for error messages."""
    context: str | None
    """The context of the kubeconfig."""
    configuration: Any
    """kubernetes_asyncio's Configuration, which reads a service account's token again from time to time."""
    material: tuple[object, ...]
    """Everything that the TLS context is made of."""
    ssl: ssl.SSLContext | None
    expires: WallTime | None
    renews_at: WallTime | None

    def __repr__(self) -> str:
        """Nothing of them: they contain keys and tokens."""
        return "LoadedCredentials(...)"

    @property
    def server_url(self) -> str:
        """The server that the kubeconfig, or the Pod's environment, names."""
        return str(self.configuration.host).rstrip("/")

    @property
    def ends_soon(self) -> bool:
        """Whether it is time to load again."""
        return self.renews_at is not None and time.time() >= self.renews_at

    @property
    def has_expired(self) -> bool:
        """Whether they have expired."""
        return self.expires is not None and time.time() >= self.expires

    async def token(self) -> str:
        """The token with its scheme; "" if there is none. Raises CredentialsError."""
        try:
            token = str(await self.configuration.get_api_key_with_prefix("BearerToken") or "").strip()
        except (loader().config.ConfigException, OSError, ValueError) as error:
            raise CredentialsError(f"{self.origin}: {sentence(error)}") from error
        if any(character in token for character in "\r\n\0"):
            raise CredentialsError(f"{self.origin}: the token is more than one line")
        return token


class CredentialsSource(msgspec.Struct, frozen=True):
    """Where credentials are loaded from: a kubeconfig or, if none is given, the Pod's service account."""

    kubeconfig: Path | None = None
    context: str | None = None
    service_account: Path = SERVICE_ACCOUNT
    expects_verification: bool = False
    """Whether a kubeconfig with insecure-skip-tls-verify is refused."""
    loading_seconds: float = LOADING_SECONDS

    async def load(self, before: LoadedCredentials | None = None) -> LoadedCredentials:
        """Load. If nothing changed since `before`, its TLS context is kept. Raises CredentialsError."""
        config, new_configuration = loader()
        # It also logs what it raises.
        logging.getLogger("kubernetes_asyncio").setLevel(logging.CRITICAL)
        self._expect_a_kubeconfig()
        loaded = new_configuration()
        try:
            with files_in_memory():
                context, expires = await self._fill(loaded, config)
                self._expect_a_server(str(loaded.host), loaded.tls_server_name)
                self._expect_verification(loaded)
                expect_a_proxy(loaded.proxy, self.words)
                material = _tls_material(loaded)
                tls = before.ssl if before is not None and before.material == material else _ssl_context(loaded)
        except TimeoutError:
            raise CredentialsError(f"the credentials were not loaded within {self.loading_seconds:.0f} s") from None
        except (config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
            raise CredentialsError(f"{self.words}: {sentence(error)}") from error
        except (LookupError, TypeError, AttributeError, AssertionError) as error:
            raise CredentialsError(f"{self.words}: is not a complete kubeconfig") from error
        return LoadedCredentials(self.words, context, loaded, material, tls, *_believed(expires))

    @property
    def is_in_cluster(self) -> bool:
        """Whether we run in a Pod and use its service account."""
        in_pod = os.environ.get("KUBERNETES_SERVICE_HOST") and (self.service_account / "token").is_file()
        return self.kubeconfig is None and bool(in_pod)

    @property
    def words(self) -> str:
        """The name of the source in error messages."""
        if self.is_in_cluster:
            return "in-cluster credentials"
        return f"kubeconfig {self.kubeconfig or os.environ.get('KUBECONFIG') or '~/.kube/config'}"

    async def _fill(self, loaded: Any, config: Any) -> tuple[str | None, float | None]:
        """Fill the package's configuration. Returns context and expiry. Raises whatever the package raises."""
        if self.is_in_cluster:
            config.load_incluster_config(
                client_configuration=loaded,
                token_filename=str(self.service_account / "token"),
                cert_filename=str(self.service_account / "ca.crt"),
            )
            return None, None
        kubeconfig = Kubeconfig(str(self.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"))
        self._expect_context(kubeconfig.contexts)
        user = kubeconfig.user_of(self.context)
        async with asyncio.timeout(self.loading_seconds):
            await self._log_in(user, loaded)
        return self.context or kubeconfig.contexts.current, user.expires

    def _expect_a_server(self, url: str, tls_name: object) -> None:
        if "@" in url:
            raise CredentialsError(
                f"{self.words}: the server {quoted(url)} has a user in its URL: kubeconfigs have users of their own"
            )
        address = _SERVER.fullmatch(url)
        try:
            apiserver_url(address[1] if address else "")
        except ValueError:
            raise CredentialsError(
                f"{self.words}: the server {quoted(url)} is no URL: write https://host:port"
            ) from None
        try:
            server_name(str(tls_name or "none"))
        except ValueError as error:
            raise CredentialsError(f"{self.words}: tls-server-name: {quoted(str(tls_name))} {error}") from None

    def _expect_verification(self, loaded: Any) -> None:
        if self.expects_verification and not loaded.verify_ssl:
            raise CredentialsError(
                f"{self.words}: insecure-skip-tls-verify and --apiserver.discover exclude each other: "
                "what is sent to addresses that are found needs certificates that are verified"
            )

    def _expect_context(self, contexts: Contexts) -> None:
        if not contexts.names:
            raise CredentialsError(f"{self.words}: has no contexts")
        names = ", ".join(map(printable, contexts.names[:MOST_CONTEXTS]))
        if len(contexts.names) > MOST_CONTEXTS:
            names += f" and {len(contexts.names) - MOST_CONTEXTS} more"
        if self.context is not None and self.context not in contexts.names:
            hint = did_you_mean(self.context, contexts.names)
            raise CredentialsError(
                f"--context: {quoted(self.context)} is not among the contexts of {self.words}: {names}{hint}"
            )
        if self.context is None and contexts.current not in contexts.names:
            current = (
                f"no context {quoted(contexts.current)}, its current-context"
                if contexts.current
                else "no current-context"
            )
            raise CredentialsError(f"{self.words}: has {current}: name one with --context: {names}")

    async def _log_in(self, user: User, configuration: Any) -> None:
        if user.provider is not None and user.provider != "oidc":
            instead = AUTH_PROVIDERS.get(user.provider, "use an exec plugin")
            raise CredentialsError(
                f"{self.words}: the auth-provider {quoted(user.provider)} is gone from Kubernetes: {instead}"
            )
        try:
            await user.log_in(configuration)
        except Exception as error:
            if user.provider is None:
                raise
            reason = sentence(error)
            raise CredentialsError(f'{self.words}: the auth-provider "oidc": {reason}; {OIDC_PLUGIN}') from error

    def _expect_a_kubeconfig(self) -> None:
        """Report a missing kubeconfig, which the library would treat as an empty one."""
        if self.kubeconfig is not None or self.is_in_cluster:
            return
        paths = os.environ.get("KUBECONFIG") or "~/.kube/config"
        if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep)):
            raise CredentialsError(f"no credentials: this is no Pod, and there is no kubeconfig at {paths}")


class Credentials:
    """Our credentials for a cluster, from a kubeconfig or a Pod's service account."""

    def __init__(
        self,
        source: CredentialsSource,
        tls_server_name: str | None = None,
        *,
        allow_insecure_token: bool = False,
        renewal_pause_seconds: float = RENEWAL_PAUSE_SECONDS,
    ) -> None:
        self._source = source
        self._tls_server_name = tls_server_name
        self._allow_insecure_token = allow_insecure_token
        self._renewal_pause_seconds = renewal_pause_seconds
        self._held: LoadedCredentials | None = None
        self._loaded_at = 0.0
        self._failed_at = -inf
        self._failure: CredentialsError | None = None
        self._must_renew = False
        self._lock = asyncio.Lock()
        self._secret_to: set[str] = set()
        """Where what is loaded may be sent: nobody else would see it on its way."""
        self.generation = 0
        """Increases when certificates have changed: older sessions are stale."""

    async def load(self) -> None:
        """Load, or load again. Raises CredentialsError."""
        before = self._held
        self._held = await self._source.load(before)
        # A new TLS context means new connections, so only if it changed: a new token must not close open watches.
        if before is None or before.material != self._held.material:
            self.generation += 1
        self._loaded_at = time.monotonic()
        self._must_renew = False
        self._secret_to.clear()
        self._failed_at, self._failure = -inf, None

    @property
    def _loaded(self) -> LoadedCredentials:
        assert self._held is not None, "they are loaded first"
        return self._held

    @property
    def ssl(self) -> ssl.SSLContext | None:
        """The TLS context with our client certificate; None for a server without TLS."""
        return self._loaded.ssl

    @property
    def server_url(self) -> str:
        """The server that the kubeconfig, or the Pod's environment, names."""
        return self._loaded.server_url

    @property
    def tls_server_name(self) -> str | None:
        """The name to verify in the server's certificate instead of the address."""
        named = self._loaded.configuration.tls_server_name
        return self._tls_server_name or (str(named) if named else None)

    @property
    def origin(self) -> str:
        """Their source, and why it was chosen."""
        if self._source.is_in_cluster:
            return "the Pod's service account"
        if self._source.kubeconfig is not None:
            chosen = f"kubeconfig {self._source.kubeconfig}, by --kubeconfig"
        elif os.environ.get("KUBECONFIG"):
            chosen = f"kubeconfig {os.environ['KUBECONFIG']}, by $KUBECONFIG"
        else:
            chosen = "kubeconfig ~/.kube/config, by default"
        by = "by --context" if self._source.context else "its current one"
        return printable(f"{chosen}; context {self._loaded.context}, {by}")

    @property
    def pod_namespace(self) -> str | None:
        """The namespace of our Pod; None outside of a cluster."""
        if not self._source.is_in_cluster:
            return None
        return read(self._source.service_account / "namespace").decode().strip()

    @property
    def pod_name(self) -> str:
        """The name of our Pod: its host name, unless the Pod template sets another host name."""
        return socket.gethostname()

    def proxy(self, url: str) -> str | None:
        """The HTTP proxy for `url`, from the kubeconfig or else the environment. Raises CredentialsError."""
        if self._loaded.configuration.proxy:
            return str(self._loaded.configuration.proxy)
        parts = urlsplit(url)
        if _is_excepted_from_proxy(parts.hostname or ""):
            return None
        proxy = urllib.request.getproxies().get(parts.scheme)
        expect_a_proxy(proxy, self._source.words)
        return proxy

    def refused(self) -> None:
        """The apiserver refused them or the TLS handshake failed: load again before the next request."""
        self._must_renew = True

    async def headers(self, url: str | None = None) -> Mapping[str, str]:
        """The Authorization header for a request to `url`, by default to the kubeconfig's server.

        Renews expiring and refused credentials. Raises CredentialsError, also if a token would be sent without TLS.
        """
        if self._must_renew or self._loaded.ends_soon:
            await self._renew()
        if self._failure is not None and self._loaded.has_expired:
            # A request with them would only add a 401 to an audit log.
            raise CredentialsError(str(self._failure))
        token = await self._loaded.token()
        if not token:
            return {}
        self._expect_secrecy(url or self.server_url)
        return {"Authorization": token}

    def _expect_secrecy(self, url: str) -> None:
        """Require TLS, or that neither the server nor the proxy is on another machine."""
        if url in self._secret_to or self._allow_insecure_token:
            return
        seen_by = () if urlsplit(url).scheme == "https" else (url, self.proxy(url))
        for address in filter(None, seen_by):
            if not is_loopback(urlsplit(address).hostname or ""):
                raise CredentialsError(
                    f"{self._source.words}: the token, or password, would go to {quoted(address)} without TLS, "
                    "for others to read: use https, or allow it with --allow-insecure-token"
                )
        self._secret_to.add(url)

    async def _renew(self) -> None:
        """Load again, once at a time. While the old ones are valid, only the request that renews them waits."""
        if self._lock.locked() and not (self._must_renew or self._loaded.has_expired):
            return
        async with self._lock:
            since = self._loaded_at if self._must_renew else self._failed_at
            is_due = self._must_renew or self._loaded.ends_soon
            if not is_due or time.monotonic() - since <= self._renewal_pause_seconds:
                return
            # Set before loading, so that a failing plugin is not run again for every request.
            self._loaded_at = self._failed_at = time.monotonic()
            try:
                await self.load()
            except CredentialsError as error:
                before, self._failure = self._failure, error
                if self._must_renew:
                    raise
                if str(error) != str(before):
                    log.warning("credentials are not renewed", extra={"fields": {"error": str(error)}})


def expect_a_proxy(url: str | None, origin: str) -> None:
    """Raise CredentialsError if `url` is not a valid proxy URL."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise CredentialsError(f"{origin}: the proxy {quoted(url)} is no URL: write http://host:port")


def _believed(expires: WallTime | None) -> tuple[WallTime | None, WallTime | None]:
    """When they expire and when to load them again; None if the expiry is missing or not credible."""
    seconds = expires - time.time() if expires is not None else 0.0
    if expires is None or seconds <= SHORTEST_SECONDS:
        return None, None
    return expires, expires - min(EARLY_SECONDS, seconds / 10)


def _tls_material(loaded: Any) -> tuple[object, ...]:
    """The settings and file contents of the TLS context. Raises ValueError or OSError."""
    files = [Path(name) for name in (loaded.ssl_ca_cert, loaded.cert_file, loaded.key_file) if name]
    return (loaded.host, loaded.verify_ssl, *(read(file) for file in files))


def _ssl_context(loaded: Any) -> ssl.SSLContext | None:
    """Raises ValueError or OSError."""
    if not str(loaded.host).startswith("https"):
        return None
    try:
        context = ssl.create_default_context(cafile=loaded.ssl_ca_cert or None)
    except ssl.SSLError as error:  # its message differs between versions of OpenSSL
        raise ValueError("the certificate authority is no certificate in PEM") from error
    # Python 3.13 requires extensions that the CAs of many clusters lack; Go's clients do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["http/1.1"])  # a gateway that prefers HTTP/2 must not guess
    if not loaded.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if loaded.cert_file:
        try:
            context.load_cert_chain(loaded.cert_file, loaded.key_file)
        except ssl.SSLError as error:
            raise ValueError("the client certificate and its key are no matching pair in PEM") from error
    return context


def _is_excepted_from_proxy(host: str) -> bool:
    """Whether NO_PROXY contains the host. The standard library supports only names; networks are common as well."""
    if urllib.request.proxy_bypass(host):
        return True
    for excepted in urllib.request.getproxies().get("no", "").split(","):
        with suppress(ValueError):  # a name
            if ip_address(host) in ip_network(excepted.strip(), strict=False):
                return True
    return False
