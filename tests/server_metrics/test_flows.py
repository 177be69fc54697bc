"""An apiserver's dump of requests: whatever it is cut into, and whatever somebody calls himself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.kubernetes.errors import StartError
from exporter.limits import refused_texts
from exporter.server_metrics.flow_reader import DUMP_REQUESTS, FlowReader, ask_flows, facts_of
from exporter.server_metrics.flows import MOST_FLOWS, MOST_LINE_BYTES, FlowDump, FlowKey, FlowParser, FlowRequests
from exporter.server_metrics.reader import LOOK_SECONDS, Periods
from tests.live.incident import DUMP_RULE
from tests.real.cluster import Cluster
from tests.real.permissions import wait_until_allowed
from tests.server_metrics.serving import Bill, MetricsServer, session_with
from tests.support.waiting import wait_until
