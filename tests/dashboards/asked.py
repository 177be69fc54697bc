"""A dashboard asked of a Prometheus, as Grafana asks it: for a time range, with every variable at All."""

import re

from tests.dashboards import grafana
from tests.dashboards.grafana import Board
from tests.dashboards.prometheus import Prometheus, Series


class Asked:
    """The answers are those of the time from `began` to `ended`, scraped each `scrape_seconds`."""

    def __init__(self, prometheus: Prometheus, board: Board, began: float, ended: float, scrape_seconds: int) -> None:
        self.board = board
        self._prometheus = prometheus
        self._began = began
        self._ended = ended
        self._scrape_seconds = scrape_seconds

    async def series(self, expression: str, step_seconds: int, *, instant: bool = False) -> list[Series]:
        """What an expression of the dashboard is worth: over the time range, or at its end."""
        own_seconds = {
            "__interval": step_seconds,
            "__rate_interval": max(step_seconds + self._scrape_seconds, 4 * self._scrape_seconds),
            "__range": int(self._ended - self._began),
        }
        query = grafana.with_all_chosen(expression, self.board, own_seconds)
        if instant:
            return await self._prometheus.at(query, self._ended)
        return await self._prometheus.between(query, self._began, self._ended, f"{step_seconds}s")

    async def choices(self, query: str) -> list[str]:
        """What a variable offers."""
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
        assert match is not None, query
        return await self._prometheus.label_values(grafana.with_all_chosen(match[1], self.board, {}), match[2])
