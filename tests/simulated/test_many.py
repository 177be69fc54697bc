"""More apiservers and definitions than there are places for: those that leave count in, and nobody loses his place."""

import asyncio
import logging
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from exporter.config import ResourceName
from exporter.service import custom_resources, fleet, leaving
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator
from exporter.simulator.resources import CRDS, Resource
from tests.support.endpoints import name_apiservers
from tests.support.kubeconfig import kubeconfig
from tests.support.observing import config
from tests.support.waiting import wait_until


def streams() -> int:
    """How many streams there are, those that are ending included."""
    return sum(task.get_coro().__qualname__ == "Reflector.run" for task in asyncio.all_tasks())  # type: ignore[union-attr]


async def exporter_of(folder: Path, simulator: Simulator, *flags: str) -> Exporter:
    settled = config("--kubeconfig", kubeconfig(folder, simulator.url), *flags)
    return Exporter(settled, await load_credentials(settled))


async def test_of_hundreds_of_apiservers_no_more_are_watched_than_there_are_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleet, "DISCOVERY_PERIOD_SECONDS", 0.1)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 2.0)
    monkeypatch.setattr(fleet, "MOST_APISERVERS", 3)
    async with (
        Simulator() as simulator,
        TestServer(web.Application(), host="127.1.0.100", port=simulator.apiserver.port),  # the first answers
    ):
        await name_apiservers(simulator, *(f"127.1.{number // 200}.{1 + number % 200}" for number in range(400)))
        exporter = await exporter_of(tmp_path, simulator, "--resource=pods", "--apiserver.discover")
        left_out = exporter.metrics.apiservers_left_out
        async with exporter.running():
            await wait_until(lambda: streams() == 3, "as many as there are places are watched")
            watched = {apiserver.server.name for apiserver in exporter.apiservers}
            assert left_out.value == 397
            # Its name is before all others, and it has no place for so long as the others leave.
            await name_apiservers(simulator, "127.0.0.1", *(name.split(":")[0] for name in watched))
            await wait_until(lambda: left_out.value == 1, "one more is left out")
            assert {apiserver.server.name for apiserver in exporter.apiservers} == watched
            await name_apiservers(simulator, "127.0.0.1")
            home = f"127.0.0.1:{simulator.apiserver.port}"

            def is_home_watched() -> bool:
                assert streams() <= 3
                return [apiserver.server.name for apiserver in exporter.apiservers] == [home]

            await wait_until(is_home_watched, "it gets a place of one that has left")
            await wait_until(lambda: left_out.value == 0, "nobody is left out")
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in said].count("more apiservers than are watched") <= 2


def gadgets(number: int) -> Resource:
    return Resource("example.com", "v1", f"gadgets{number:03d}", f"Gadget{number:03d}")


async def test_definitions_that_come_and_go_get_no_more_watches_than_there_are_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 1.0)
    monkeypatch.setattr(custom_resources, "START_PERIOD_SECONDS", 0.01)
    monkeypatch.setattr("exporter.watch.definitions.LIST_PERIOD_SECONDS", 0.01)
    monkeypatch.setattr("exporter.watch.definitions.SETTLING_SECONDS", 0.01)
    watched: set[ResourceName] = set()
    async with Simulator() as simulator:
        flags = ("--resource=pods", "--custom-resources=gadgets*", "--custom-resources.max=3")
        exporter = await exporter_of(tmp_path, simulator, *flags)
        async with exporter.running():
            for wave in range(6):
                for number in range(10 * wave, 10 * wave + 10):
                    await simulator.define(gadgets(number))

                def of_this_wave(wave: int = wave) -> set[ResourceName]:
                    assert streams() <= 4, "three, and that of the pods"
                    names = {target.name for apiserver in exporter.apiservers for target in apiserver.streams}
                    watched.update(names)
                    return {name for name in names if name.plural.startswith(f"gadgets{wave:02d}")}

                await wait_until(lambda: len(of_this_wave()) == 3, "the places are taken anew")
                assert exporter.metrics.custom_resources_left_out.value == 7
                for number in range(10 * wave, 10 * wave + 10):
                    await simulator.apiserver.registry.delete(CRDS, ("", gadgets(number).name))
    assert len(watched) >= 6 * 3


async def test_what_is_watched_stays_watched_when_one_comes_whose_name_is_before_it(tmp_path: Path) -> None:
    async with Simulator() as simulator:
        await simulator.define(gadgets(5))
        flags = ("--resource=pods", "--custom-resources=gadgets*", "--custom-resources.max=1")
        exporter = await exporter_of(tmp_path, simulator, *flags)

        def customs() -> list[str]:
            return [str(target.name) for target in exporter.apiservers[0].streams][1:]

        async with exporter.running():
            await wait_until(lambda: bool(exporter.apiservers) and customs() == [gadgets(5).name], "it is watched")
            await simulator.define(gadgets(1))
            await wait_until(lambda: exporter.metrics.custom_resources_left_out.value == 1, "the other one is seen")
            assert customs() == [gadgets(5).name]


async def test_definitions_that_come_at_once_are_watched_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as may be watched at once; then a storm of them has to wait."""
    monkeypatch.setattr(custom_resources, "START_PERIOD_SECONDS", 3600.0)
    monkeypatch.setattr(leaving, "LEAVING_SECONDS", 0.1)
    async with Simulator() as simulator:
        flags = ("--resource=pods", "--custom-resources=gadgets*", "--custom-resources.max=2")
        exporter = await exporter_of(tmp_path, simulator, *flags)
        left_out = exporter.metrics.custom_resources_left_out
        async with exporter.running():
            await simulator.define(gadgets(1))
            await simulator.define(gadgets(2))
            await wait_until(lambda: streams() == 3, "both are watched at once")
            for number in (1, 2):
                await simulator.apiserver.registry.delete(CRDS, ("", gadgets(number).name))
            await wait_until(lambda: streams() == 1, "both have left")
            await simulator.define(gadgets(3))
            await wait_until(lambda: left_out.value == 1, "the third is seen")
            assert streams() == 1
