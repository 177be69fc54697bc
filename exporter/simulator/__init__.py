"""A simulated kube-apiserver that speaks HTTP over a socket and knows what really happened.

It stands apart: it imports nothing of the exporter, so that neither can inherit the other's mistakes.
"""

from exporter.simulator.apiserver import Apiserver
from exporter.simulator.faults import Faults, NetworkDelay, Rejection
from exporter.simulator.renewals import Renewals
from exporter.simulator.resources import NODES, Resource, crd_of
from exporter.simulator.scenarios import SCENARIOS, Scenario
from exporter.simulator.simulator import WIDGETS, Simulator
from exporter.simulator.store import Store
from exporter.simulator.truth import Commit, Delivery, Truth
from exporter.simulator.workload import Workload

__all__ = [
    "NODES",
    "SCENARIOS",
    "WIDGETS",
    "Apiserver",
    "Commit",
    "Delivery",
    "Faults",
    "NetworkDelay",
    "Rejection",
    "Renewals",
    "Resource",
    "Scenario",
    "Simulator",
    "Store",
    "Truth",
    "Workload",
    "crd_of",
]
