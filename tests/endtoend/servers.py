"""What users run: the installed exporter and a real Prometheus, each a server process on loopback."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.real.process import Server, answers, free_port

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Series:
    """One element of an instant vector."""

    labels: dict[str, str]
    value: float


class Exporter(Server):
    """`watchslo run`, from wherever it is installed."""

    def __init__(self, watchslo: Path, folder: Path, flags: Sequence[str | Path]) -> None:
        super().__init__("watchslo", folder, LOOPBACK)
        self._words = [str(watchslo), "run", *map(str, flags)]
        self.port = 0

    def choose_ports(self) -> None:
        self.port = free_port(self.address)

    def command(self) -> list[str]:
        return [*self._words, "--web.listen-address", f"{self.address}:{self.port}"]

    async def is_ready(self) -> bool:
        return await answers(f"http://{self.address}:{self.port}/readyz")


class Prometheus(Server):
    """A Prometheus that scrapes one exporter and evaluates `rules`, both every second."""

    def __init__(self, binary: Path, folder: Path, exporter: Exporter, rules: str) -> None:
        super().__init__("prometheus", folder, LOOPBACK)
        self._binary = binary
        self._folder = folder
        self._exporter = exporter
        self._rules = rules
        self.port = 0

    def choose_ports(self) -> None:
        self.port = free_port(self.address)

    def command(self) -> list[str]:
        target = {"targets": [f"{LOOPBACK}:{self._exporter.port}"], "labels": {"cluster": "under-test"}}
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["watchslo.rules.yaml"],
            "scrape_configs": [{"job_name": "watchslo", "static_configs": [target]}],
        }
        (self._folder / "watchslo.rules.yaml").write_text(self._rules, encoding="utf-8")
        (self._folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return [
            str(self._binary),
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'prometheus-data'}",
            f"--web.listen-address={self.address}:{self.port}",
        ]

    async def is_ready(self) -> bool:
        return await answers(f"http://{self.address}:{self.port}/-/ready")

    async def query(self, promql: str) -> list[Series]:
        """The instant vector that `promql` is now."""
        data = await self._get("query", query=promql)
        return [Series(each["metric"], float(each["value"][1])) for each in data["result"]]

    async def alerts(self) -> list[dict[str, Any]]:
        """All alerts that are pending or firing, with their annotations."""
        data = await self._get("alerts")
        alerts: list[dict[str, Any]] = data["alerts"]
        return alerts

    async def _get(self, what: str, **parameters: str) -> dict[str, Any]:
        url = f"http://{self.address}:{self.port}/api/v1/{what}"
        async with aiohttp.ClientSession() as http, http.get(url, params=parameters) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        data: dict[str, Any] = answer["data"]
        return data
