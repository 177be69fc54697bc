"""A real Prometheus on loopback: a configuration in, answers to queries out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.real.process import Server, answers, free_port

Series = dict[str, Any]


class Prometheus(Server):
    """Scrapes and evaluates rules as `configuration` says, which is written to a file as JSON: YAML can read that."""

    def __init__(
        self, binary: Path, folder: Path, configuration: Mapping[str, Any], features: Sequence[str] = ()
    ) -> None:
        super().__init__("prometheus", folder, "127.0.0.1")
        self._features = features
        self._binary = binary
        self._data = folder / "prometheus"
        self._configuration = folder / "prometheus.yaml"
        self._configuration.write_text(json.dumps(configuration), encoding="utf-8")
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self._port}"

    def choose_ports(self) -> None:
        self._port = free_port(self.address)

    def command(self) -> list[str]:
        return [
            str(self._binary),
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self._data}",
            f"--web.listen-address={self.address}:{self._port}",
            "--log.level=warn",
            *(f"--enable-feature={feature}" for feature in self._features),
        ]

    async def is_ready(self) -> bool:
        return await answers(f"{self.url}/-/ready")

    async def at(self, expression: str, seconds: float) -> list[Series]:
        """What an expression is worth at a Unix time; a series with one value."""
        answer = await self._get("query", {"query": expression, "time": str(seconds)})
        found: list[Series] = answer["result"]
        return [{"metric": series["metric"], "values": [series["value"]]} for series in found if "value" in series]

    async def between(self, expression: str, begin_seconds: float, end_seconds: float, step: str) -> list[Series]:
        """What an expression is worth from one Unix time to another."""
        parameters = {"query": expression, "start": str(begin_seconds), "end": str(end_seconds), "step": step}
        found: list[Series] = (await self._get("query_range", parameters))["result"]
        return found

    async def exemplars(self, selector: str, begin_seconds: float, end_seconds: float) -> list[dict[str, Any]]:
        """The exemplars of the series that a selector takes."""
        parameters = {"query": selector, "start": str(begin_seconds), "end": str(end_seconds)}
        found: list[Series] = await self._get("query_exemplars", parameters)
        return [exemplar for series in found for exemplar in series["exemplars"]]

    async def label_values(self, selector: str, label: str) -> list[str]:
        """The values of a label among the series that a selector takes."""
        found: list[str] = await self._get(f"label/{label}/values", {"match[]": selector})
        return found

    async def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/api/v1/{path}", params=parameters) as response,
        ):
            answer = await response.json()
        assert answer["status"] == "success", f"{answer['error']}: {parameters}"
        return answer["data"]
