"""Whether a webhook converts a custom resource: asked of its definition, seldom."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from exporter.diagnosis.facts import Facts, StreamFacts
from exporter.kubernetes.conversion import converts_by_webhook
from exporter.kubernetes.cost import Cost
from exporter.kubernetes.session import ApiSession, Server
from exporter.service import conversions
from exporter.service.conversions import AGAIN_SECONDS, Conversions
from exporter.service.daemon import load_credentials
from exporter.simulator import Simulator
from exporter.simulator.resources import CRDS, Resource, crd_of
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.waiting import wait_until

GADGETS = Resource("example.com", "v1", "gadgets", "Gadget")
WIDGETS = Resource("example.com", "v1", "widgets", "Widget")


class Requests(Cost):
    """How many go out."""

    def __init__(self) -> None:
        self.sent = 0

    def request_sent(self, purpose: str) -> None:
        assert purpose == "discovery"
        self.sent += 1


@contextlib.asynccontextmanager
async def asking(folder: Path, simulator: Simulator) -> AsyncIterator[tuple[ApiSession, Requests]]:
    """A session, and what it costs; gadgets are converted by a webhook, widgets are not."""
    credentials = await load_credentials(config("--kubeconfig", kubeconfig(folder, simulator.url)))
    requests = Requests()
    definition = crd_of(GADGETS)
    definition["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}
    await simulator.apiserver.registry.create(CRDS, definition, manager="test")
    await simulator.define(WIDGETS)
    session = ApiSession(Server(simulator.url, is_one_apiserver=True), credentials, cost=requests)
    try:
        yield session, requests
    finally:
        await session.close()


async def test_the_definition_says_it_to_whom_may_list_definitions(tmp_path: Path) -> None:
    async with Simulator() as simulator, asking(tmp_path, simulator) as (session, _):
        assert await converts_by_webhook(session, "example.com", "gadgets") is True
        assert await converts_by_webhook(session, "example.com", "widgets") is False
        assert await converts_by_webhook(session, "metrics.k8s.io", "pods") is None, "an aggregated API's has none"
        simulator.faults.deny("list", CRDS.name)
        assert await converts_by_webhook(session, "example.com", "gadgets") is None


async def test_each_is_asked_once_and_what_is_late_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversions, "PERIOD_SECONDS", 0.1)
    async with Simulator() as simulator, asking(tmp_path, simulator) as (session, requests):
        asked = Conversions(session)
        asked.facts = Facts(
            now=2.0,
            threshold_seconds=1.0,
            streams=(
                StreamFacts(apiserver="a:1", group="", resource="pods", late_since=1.0),
                StreamFacts(apiserver="a:1", group="example.com", resource="widgets"),
                StreamFacts(apiserver="a:1", group="example.com", resource="gadgets"),
                StreamFacts(apiserver="b:1", group="example.com", resource="gadgets", late_since=1.0),
            ),
        )
        running = asyncio.create_task(asked.run())
        await wait_until(lambda: bool(asked.known), "one is known")
        assert asked.known == {("example.com", "gadgets"): True}
        await wait_until(lambda: len(asked.known) == 2, "both are known")
        assert asked.known["example.com", "widgets"] is False
        await asyncio.sleep(0.5)
        assert requests.sent == 2
        asked._asked = {kind: at - AGAIN_SECONDS for kind, at in asked._asked.items()}
        await wait_until(lambda: requests.sent == 3, "what is late is asked for again")
        await asyncio.sleep(0.5)
        assert requests.sent == 3
        asked.facts = Facts(now=2.0, threshold_seconds=1.0)
        await wait_until(lambda: not asked.known, "what is watched no more is forgotten")
        running.cancel()


async def test_what_could_not_be_asked_is_asked_again_whether_it_is_late_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions, "PERIOD_SECONDS", 0.1)
    async with Simulator() as simulator, asking(tmp_path, simulator) as (session, requests):
        asked = Conversions(session)
        widgets = StreamFacts(apiserver="a:1", group="example.com", resource="widgets")
        asked.facts = Facts(now=2.0, threshold_seconds=1.0, streams=(widgets,))
        simulator.faults.deny("list", CRDS.name)
        running = asyncio.create_task(asked.run())
        await wait_until(lambda: requests.sent > 0, "it is asked")
        await asyncio.sleep(0.5)
        assert requests.sent == 1
        simulator.faults.allow("list", CRDS.name)
        asked._asked = {kind: at - AGAIN_SECONDS for kind, at in asked._asked.items()}
        await wait_until(lambda: bool(asked.known), "it is known")
        assert requests.sent == 2
        running.cancel()


async def test_an_error_ends_no_task_and_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(conversions, "PERIOD_SECONDS", 0.05)
    async with Simulator() as simulator, asking(tmp_path, simulator) as (session, _):
        asked = Conversions(session)
        broken: Any = None
        asked.facts = broken
        running = asyncio.create_task(asked.run())
        await asyncio.sleep(0.3)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        widgets = StreamFacts(apiserver="a:1", group="example.com", resource="widgets")
        asked.facts = Facts(now=2.0, threshold_seconds=1.0, streams=(widgets,))
        await wait_until(lambda: bool(asked.known), "it works again")
        running.cancel()
