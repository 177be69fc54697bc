"""`python -m exporter.simulator`: the simulated apiserver as a process of its own.

In: flags. Out: its address on stdout, and its condition once it changes.
"""

import argparse
import asyncio
import contextlib

from exporter.simulator.scenarios import PHASE_SECONDS, SCENARIOS
from exporter.simulator.simulator import Simulator
from exporter.simulator.workload import Workload


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m exporter.simulator")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="healthy")
    parser.add_argument("--rate", type=float, default=50.0, help="writes per second")
    parser.add_argument("--phase-seconds", type=float, default=PHASE_SECONDS)
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments.port, arguments.scenario, arguments.rate, arguments.phase_seconds))


async def _serve(port: int, scenario: str, rate_per_second: float, phase_seconds: float) -> None:
    async with Simulator(port=port) as simulator, Workload(simulator, rate_per_second=rate_per_second):
        print(simulator.url, flush=True)  # noqa: T201 - whoever starts this process reads the address here
        await SCENARIOS[scenario].run(simulator, phase_seconds)


if __name__ == "__main__":
    main()
