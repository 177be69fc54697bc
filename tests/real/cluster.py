"""A real cluster without nodes: folders in, one etcd and kube-apiservers with users, RBAC and kubeconfigs out."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.real import custom_resources, permissions
from tests.real.api import ApiClient, ApiError, Json
from tests.real.apiserver import Apiserver, ApiserverFiles
from tests.real.certificates import CertificateAuthority, write_private_key
from tests.real.custom_resources import CustomResource
from tests.real.etcd import Etcd
from tests.real.kine import Kine
from tests.real.permissions import Grant
from tests.support.waiting import wait_until

SERVICE_LABEL = "kubernetes.io/service-name"
SLICES_PATH = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class Cluster:
    """One etcd and `apiservers` apiservers, the first on 127.0.0.1, the next on 127.0.0.2 and so on.

    `admin` may do everything; each of `users` starts without any right. `flags` are added to the command
    line of every apiserver, which may use so many `cores` (all by default). With `events_store` events are kept in an
    etcd of their own, `events_etcd`, as
    large clusters do. Where `binaries` has kine and no etcd, kine is the store. Nothing of it outlives the
    `async with`, nor the program that runs it.
    """

    def __init__(
        self,
        binaries: Path,
        folder: Path,
        *,
        apiservers: int = 1,
        flags: Sequence[str] = (),
        users: Sequence[str] = ("watcher", "limited"),
        events_store: bool = False,
        cores: int | None = None,
    ) -> None:
        self.folder = folder
        store = Kine if (binaries / "kine").exists() else Etcd
        self.etcd = store(binaries, folder)
        self.events_etcd = store(binaries, folder, "events-store") if events_store else None
        self.apiservers: list[Apiserver] = []
        self.authority = CertificateAuthority(folder)
        self.client_context = self.authority.client_context()
        self._users = ("admin", *users)
        self._binaries = binaries
        self._count = apiservers
        self._flags = list(flags)
        self._cores = cores
        self._grants = itertools.count(1)

    @property
    def apiserver(self) -> Apiserver:
        """The first apiserver."""
        return self.apiservers[0]

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end()

    def store_url(self, number: int) -> str:
        """Where apiserver `number` finds etcd."""
        del number
        return self.etcd.url

    @contextlib.asynccontextmanager
    async def client(
        self, user: str = "admin", *, server: str | None = None, timeout_seconds: float = 60.0
    ) -> AsyncIterator[ApiClient]:
        """A session of `user` with the URL `server`: an apiserver's, the first by default, or a proxy's."""
        token = self.token(user)
        url = server or self.apiserver.url
        async with ApiClient(url, token, self.client_context, timeout_seconds=timeout_seconds) as client:
            yield client

    def token(self, user: str = "admin") -> str:
        """The bearer token of `user`."""
        assert user in self._users, f"{user} is none of {self._users}"
        return f"token-of-{user}"

    def kubeconfig(
        self, path: Path, *, user: str = "admin", server: str | None = None, tls_server_name: str | None = None
    ) -> Path:
        """Writes a kubeconfig for `user` and the URL `server` (the first apiserver's by default); returns `path`."""
        authority = base64.b64encode(self.authority.bundle).decode()
        cluster = {"server": server or self.apiserver.url, "certificate-authority-data": authority}
        if tls_server_name is not None:
            cluster["tls-server-name"] = tls_server_name
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.token(user)}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": user}}],
            "current-context": "real",
        }
        path.write_text(json.dumps(config, indent=2))
        return path

    async def grant(
        self,
        user: str,
        verbs: Sequence[str],
        api_group: str,
        resources: Sequence[str],
        namespace: str | None = None,
        *,
        only: str | None = None,
    ) -> Grant:
        """Lets `user` do `verbs` with `resources`, in one namespace or everywhere; in force on return."""
        name = f"{user}-{next(self._grants)}"
        granted = Grant(name, user, tuple(verbs), api_group, tuple(resources), namespace, only)
        async with self.client(server=self._running()[0].url) as client:
            await permissions.create(client, granted)
        await self._wait_in_force(granted, allowed=True)
        return granted

    async def revoke(self, granted: Grant) -> None:
        """Takes a grant back; on return no apiserver allows any of it. Raises TimeoutError if another grant does."""
        async with self.client(server=self._running()[0].url) as client:
            await permissions.delete(client, granted)
        await self._wait_in_force(granted, allowed=False)

    async def create_resource(
        self, resource: CustomResource | None = None, *, conversion: Json | None = None
    ) -> CustomResource:
        """Creates a custom resource (widgets by default), unless it is there; every apiserver serves it on return.

        For two more seconds kube-apiserver holds each object's creation back by two seconds.
        """
        resource = resource or CustomResource()
        async with self.client(server=self._running()[0].url) as client:
            try:
                await custom_resources.create(client, resource, conversion)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        for server in self._running():
            async with self.client(server=server.url) as client:
                await custom_resources.wait_served(client, resource)
        return resource

    async def list_apiservers(self, *urls: str) -> None:
        """Says in the EndpointSlices of default/kubernetes that these URLs are those of all apiservers.

        kube-apiserver refuses loopback addresses as endpoints, but not as names. Each has a port of its own, and so a
        slice of its own.
        """
        wanted = {endpoint_slice["metadata"]["name"]: endpoint_slice for endpoint_slice in map(_endpoint_slice, urls)}
        async with self.client(server=self._running()[0].url) as client:
            for name, endpoint_slice in wanted.items():
                await client.apply(f"{SLICES_PATH}/{name}", endpoint_slice)
            listed = await client.get(SLICES_PATH, labelSelector=f"{SERVICE_LABEL}=kubernetes")
            for name in {endpoint_slice["metadata"]["name"] for endpoint_slice in listed["items"]} - wanted.keys():
                await client.delete(f"{SLICES_PATH}/{name}")

    async def delete_resource(self, resource: CustomResource) -> None:
        """Deletes a custom resource's definition and all its objects."""
        async with self.client(server=self._running()[0].url) as client:
            await custom_resources.delete(client, resource)

    async def _start(self) -> None:
        files = self._write_files()
        await self.etcd.create()
        flags = self._flags
        if self.events_etcd is not None:
            await self.events_etcd.create()
            flags = [f"--etcd-servers-overrides=/events#{self.events_etcd.url}", *flags]
        self.apiservers = [
            Apiserver(
                f"apiserver-{number}",
                self.folder,
                f"127.0.0.{number}",
                binaries=self._binaries,
                etcd_url=self.store_url(number),
                files=files,
                context=self.client_context,
                flags=flags,
                cores=self._cores,
            )
            for number in range(1, self._count + 1)
        ]
        try:
            async with asyncio.TaskGroup() as starting:
                for server in self.apiservers:
                    starting.create_task(server.create())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        await self._wait_default_namespace()

    async def _end(self) -> None:
        for server in self.apiservers:
            await server.kill()
        for store in (self.etcd, self.events_etcd):
            if store is not None:
                await store.kill()
                store.remove_data()

    def _write_files(self) -> ApiserverFiles:
        token_file = self.folder / "tokens.csv"
        groups = {"admin": ',"system:masters"'}
        lines = [f"{self.token(user)},{user},{user}{groups.get(user, '')}\n" for user in self._users]
        token_file.write_text("".join(lines))
        key_file = write_private_key(self.folder / "service-account.key")
        return ApiserverFiles(self.authority.issue("apiserver"), key_file, token_file)

    async def _wait_default_namespace(self) -> None:
        """The servers are ready before a controller inside of one of them has made the namespaces."""

        async def is_there() -> bool:
            namespaces = await client.get("/api/v1/namespaces")
            return any(namespace["metadata"]["name"] == "default" for namespace in namespaces["items"] or ())

        async with self.client() as client:
            await wait_until(is_there, "namespace default is there")

    async def _wait_in_force(self, granted: Grant, *, allowed: bool) -> None:
        for server in self._running():
            async with self.client(server=server.url) as client:
                await permissions.wait_in_force(client, granted, allowed=allowed)

    def _running(self) -> list[Apiserver]:
        return [server for server in self.apiservers if server.running]


def _endpoint_slice(url: str) -> Json:
    address = urlsplit(url)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"kubernetes-{address.port}", "labels": {SERVICE_LABEL: "kubernetes"}},
        "addressType": "FQDN",
        "endpoints": [{"addresses": [address.hostname]}],
        "ports": [{"name": "https", "port": address.port}],
    }
