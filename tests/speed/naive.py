"""The obvious exporter on kubernetes_asyncio's Watch: `now - max(managedFields.time)` into a Histogram, event by event.

`python -m tests.speed.naive --kubeconfig FILE --resource pods --as V1Pod` prints "ready", on SIGUSR1 how many events it
has handled and the last one's revision, and with --stamps on SIGTERM when it had which revision.
"""
# ruff: noqa: T201 its output is what it is for

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime

from kubernetes_asyncio import client, config, watch
from prometheus_client import Histogram

from tests.speed.recording import METADATA_JSON
from tests.speed.served import GROUP, VERSION, plural

LATENCY = Histogram("latency_seconds", "now - max(managedFields.time)", ("group", "resource", "event_type"))


class Naive:
    """The events that it has processed so far."""

    def __init__(self, *, keeps_stamps: bool) -> None:
        self.events = 0
        self.newest_revision = 0
        self.stamps: list[tuple[int, float]] | None = [] if keeps_stamps else None

    def handle(self, resource: str, event_type: str, revision: str, newest: float) -> None:
        """One event."""
        self.newest_revision = int(revision)
        if self.stamps is not None:
            self.stamps.append((self.newest_revision, time.monotonic()))
        LATENCY.labels("", resource, event_type).observe(time.time() - newest)
        self.events += 1


async def whole_pods(resource: str, naive: Naive) -> None:
    """Watch.stream(list_pod_for_all_namespaces): V1Pod objects."""
    async with client.ApiClient() as api, watch.Watch() as stream:
        async for event in stream.stream(client.CoreV1Api(api).list_pod_for_all_namespaces):
            metadata = event["object"].metadata
            newest = max(entry.time.timestamp() for entry in metadata.managed_fields if entry.time)
            naive.handle(resource, event["type"], metadata.resource_version, newest)


async def plain_objects(resource: str, naive: Naive) -> None:
    """Watch.stream of a custom resource, metadata only: dicts."""
    async with client.ApiClient() as api, watch.Watch() as stream:
        api.set_default_header("Accept", METADATA_JSON.accept)
        custom = client.CustomObjectsApi(api)
        async for event in stream.stream(custom.list_cluster_custom_object, GROUP, VERSION, plural(resource)):
            metadata = event["object"]["metadata"]
            entries = metadata["managedFields"]
            newest = max(datetime.fromisoformat(entry["time"]).timestamp() for entry in entries if "time" in entry)
            naive.handle(resource, event["type"], metadata["resourceVersion"], newest)


WATCHES = {"V1Pod": whole_pods, "object": plain_objects}


async def main(options: argparse.Namespace) -> None:
    await config.load_kube_config(config_file=options.kubeconfig)
    naive = Naive(keeps_stamps=options.stamps)
    signal.signal(signal.SIGUSR1, lambda *_: print(naive.events, naive.newest_revision, flush=True))
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    watching = [asyncio.create_task(WATCHES[options.kind](name, naive)) for name in options.resource]
    print("ready", flush=True)
    await stopping.wait()
    for task in watching:
        task.cancel()
    await asyncio.wait(watching)
    print(json.dumps(naive.stamps), flush=True)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.speed.naive", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--resource", action="append", required=True)
    parser.add_argument("--as", dest="kind", choices=WATCHES, required=True)
    parser.add_argument("--stamps", action="store_true", help="remember when each revision was there")
    return parser.parse_args(words)


if __name__ == "__main__":
    asyncio.run(main(parse(sys.argv[1:])))
