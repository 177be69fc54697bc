"""Webhooks that kube-apiserver calls: reviews in, after a settable delay the simplest right answer out.

The HTTPS server runs in a thread of its own, so that its delay is its own and not that of a busy test.
"""

import asyncio
import base64
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from tests.real.api import ApiClient, Json
from tests.real.certificates import CertificateAuthority
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource
from tests.real.loop_thread import LoopThread

ADMISSION_PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
# The longest that kube-apiserver waits for an admission webhook.
ADMISSION_TIMEOUT_SECONDS = 30


class Webhooks:
    """A conversion webhook that only sets apiVersion, and an admission webhook that allows everything.

    conversion_delay_seconds, admission_delay_seconds: set at any moment; each request waits that long.
    conversions, admissions: how many requests were answered.
    """

    def __init__(self, folder: Path) -> None:
        self.conversion_delay_seconds = 0.0
        self.admission_delay_seconds = 0.0
        self.conversions = 0
        self.admissions = 0
        self._authority = CertificateAuthority(folder)
        self._certificate = self._authority.issue("webhooks")
        self._thread = LoopThread("webhooks")
        self._transports: set[asyncio.WriteTransport] = set()

    def __enter__(self) -> Self:
        self._thread.__enter__()
        self._thread.run(self._serve())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._thread.run(self._close())
        self._thread.__exit__(kind, error, traceback)

    async def create_converted_resource(
        self, cluster: Cluster, *, group: str = "example.com", plural: str = "gadgets"
    ) -> CustomResource:
        """Creates a custom resource that is stored as v1 and converted here to be served as v2."""
        webhook = {"clientConfig": self._client_config("convert"), "conversionReviewVersions": ["v1"]}
        resource = CustomResource(group, plural, ("v1", "v2"))
        return await cluster.create_resource(resource, conversion={"strategy": "Webhook", "webhook": webhook})

    async def admit(self, client: ApiClient, name: str, group: str, version: str, resource: str) -> None:
        """Has every write of `resource` and its subresources asked for here; `name` is the configuration's."""
        resources = [resource, f"{resource}/*"]
        rule = {"apiGroups": [group], "apiVersions": [version], "resources": resources, "operations": ["*"]}
        webhook = {
            "name": f"{name}.tests.example.com",
            "clientConfig": self._client_config("admit"),
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": ADMISSION_TIMEOUT_SECONDS,
        }
        await client.post(ADMISSION_PATH, {"metadata": {"name": name}, "webhooks": [webhook]})

    async def stop_admitting(self, client: ApiClient, name: str) -> None:
        """Deletes the configuration `name`; the apiserver forgets it a moment later."""
        await client.delete(f"{ADMISSION_PATH}/{name}")

    def _client_config(self, path: str) -> Json:
        bundle = base64.b64encode(self._authority.bundle).decode()
        return {"url": f"https://127.0.0.1:{self._port}/{path}", "caBundle": bundle}

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/convert", self._convert), web.post("/admit", self._admit)])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate.certificate_file, self._certificate.key_file)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self._port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        await self._runner.cleanup()
        # TLS waits for the other side's goodbye, which never comes from a server that is frozen.
        for transport in self._transports:
            transport.abort()

    async def _asked(self, request: web.Request) -> Json:
        assert isinstance(request.transport, asyncio.WriteTransport)
        self._transports.add(request.transport)
        asked: Json = (await request.json())["request"]
        return asked

    async def _convert(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        await asyncio.sleep(self.conversion_delay_seconds)
        self.conversions += 1
        converted = [asked_object | {"apiVersion": asked["desiredAPIVersion"]} for asked_object in asked["objects"]]
        response = {"uid": asked["uid"], "convertedObjects": converted, "result": {"status": "Success"}}
        review = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}
        return web.json_response(review)

    async def _admit(self, request: web.Request) -> web.Response:
        asked = await self._asked(request)
        await asyncio.sleep(self.admission_delay_seconds)
        self.admissions += 1
        response = {"uid": asked["uid"], "allowed": True}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return web.json_response(review)
