"""What people mistype, on a real kube-apiserver: each slip gets the same sentence from `run`, `check` and `measure`."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from exporter.kubernetes.api_discovery import DEFINITION
from tests.commands.check.command import check
from tests.commands.measure.command import measure
from tests.conftest import FreshCluster
from tests.real.cluster import Cluster
from tests.real.custom_resources import CustomResource

LIMIT_SECONDS = 60
GADGETS = CustomResource(group="words.example.com", plural="gadgets")
MEANT = {
    "po": "pods",
    "pod": "pods",
    "svc": "services",
    "no": "nodes",
    "deployment": "deployments.apps",
    "deploy.apps": "deployments.apps",
    "leases": "leases.coordination.k8s.io",
    "confgmaps": "configmaps",
}
GLOBS = {
    "gadgets": ', did you mean "gadgets.*"?',
    "words.example.com": ', did you mean "*.words.example.com"?',
    "gadgetz.*": ', did you mean "gadgets.*"?',
    "*.nothing": "; those that come will be watched",
}
ONLY_TLS = "answers only TLS: write https://"
NO_DEFINITION = f"canaries.watchslo.dev is not served here: apply its definition, {DEFINITION} of the repository"


class Running:
    """`watchslo run`; `says` waits for a line of its log."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    async def says(self, *parts: str) -> str:
        """The line that has all of these in it, whether it was said already or is still to come."""
        assert self._process.stderr is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            while not (found := [line for line in self.lines if all(part in line for part in parts)]):
                line = (await self._process.stderr.readline()).decode()
                assert line, f"it ended without saying {parts}: {self.lines}"
                self.lines.append(line.replace(r"\"", '"'))
        return found[0]

    async def counts(self, pattern: str) -> None:
        """Wait until a scrape has a line like this."""
        address = (await self.says("msg=listening")).rpartition("address=")[2].strip()
        async with asyncio.timeout(LIMIT_SECONDS), aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"http://{address}/metrics") as response:
                    if re.search(pattern, await response.text()):
                        return
                await asyncio.sleep(0.2)


@asynccontextmanager
async def running(*words: str | Path) -> AsyncIterator[Running]:
    environ = {name: text for name, text in os.environ.items() if not name.startswith("WATCHSLO_")}
    command = [sys.executable, "-m", "exporter", "run", "--web.listen-address=[::1]:0", *map(str, words)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environ)
    try:
        yield Running(process)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        await process.stderr.read()
        assert await process.wait() == 0


async def test_an_address_is_logged_as_flags_take_it(cluster: Cluster, tmp_path: Path) -> None:
    async with running("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig")) as it:
        assert re.search(r" address=\[::1\]:\d+\n$", await it.says("msg=listening"))


async def test_no_tls_to_a_server_that_has_nothing_else(cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig, url = cluster.kubeconfig(tmp_path / "kubeconfig"), cluster.apiserver.url.replace("https", "http")
    words = ("--kubeconfig", kubeconfig, "--resource=pods", "--apiserver", url)
    async with running(*words) as it:
        assert (await it.says("watch does not start")).endswith(f'reason=bad_response error="{ONLY_TLS}"\n')
        await it.counts(r'watchslo_init_events_errors_total{.*reason="bad_response".*} [3-9]')
    assert sum(ONLY_TLS in line for line in it.lines) == 1
    looked = await check(*words)
    assert (looked.exit_code, looked.table["server"]["connection"]) == (2, ("failed", ONLY_TLS))
    address = cluster.apiserver.url.removeprefix("https://")
    assert looked.last_line == f"not good: no answer from {address}"


async def test_a_limited_token_is_told_what_to_grant(cluster: Cluster, tmp_path: Path) -> None:
    words = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig", user="limited"), "--resource=pods,nodes")
    check_says = '; "watchslo check" with the same flags prints the missing rules"\n'
    async with running(*words) as it:
        pods, nodes = await it.says("resource=pods"), await it.says("resource=nodes")
    in_default = 'cannot list resource "pods" in API group "" in the namespace "default"'
    assert f"{in_default}; all namespaces are watched, and this one is polled only for the revision{check_says}" in pods
    assert nodes.endswith(f'cannot list resource "nodes" in API group "" at the cluster scope{check_says}')
    assert '  - {apiGroups: [""], resources: [pods], verbs: [list, watch]}\n' in (await check(*words)).out


async def test_short_and_singular_names_get_the_same_suggestion_everywhere(cluster: Cluster, tmp_path: Path) -> None:
    words = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), f"--resource={','.join(MEANT)}")
    sentences = {name: f'{name} is not served here, did you mean "{meant}"?' for name, meant in MEANT.items()}
    async with running(*words) as it:
        for name, sentence in sentences.items():
            await it.says(f"resource={name} ", f'error="{sentence}"\n')
    looked = await check(*words)
    assert looked.table["resources"] == {name: ("missing", sentence) for name, sentence in sentences.items()}
    measured = await measure(*words, "--duration=1")
    address = cluster.apiserver.url.removeprefix("https://")
    assert measured.exit_code == 3
    for name, sentence in sentences.items():
        assert f"{name} on {address}: its stream is down: not_found: {sentence}\n" in measured.out


@pytest.mark.timeout(120)
async def test_a_pattern_that_matches_nothing(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster()
    await cluster.create_resource(GADGETS)
    globs = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), f"--custom-resources={','.join(GLOBS)}")
    sentences = [f'"{glob}" matches no custom resource now{hint}' for glob, hint in GLOBS.items()]
    async with running(*globs) as it:
        for sentence in sentences:
            await it.says(f'level=warn msg="--custom-resources: {sentence}"\n')
    looked = await check(*globs)
    assert looked.table["resources"][" ".join(GLOBS)] == ("note", "; ".join(sentences))
    measured = await measure(*globs, "--duration=1")
    for sentence in sentences:
        assert f"watchslo: warning: --custom-resources: {sentence}\n" in measured.err
    assert "no apiserver found yet" not in measured.err
    for line in (await measure(*globs[:2], "--custom-resources=*.words.example.com", "--duration=1")).err.splitlines():
        assert "matches no custom resource" not in line


async def test_a_canary_without_its_definition(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster()
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
    words = ("--kubeconfig", kubeconfig, "--canary.interval=1", "--canary.custom-resource=default/canary")
    async with running(*words) as it:
        await it.says("watch does not start", "resource=canaries.watchslo.dev", f'error="{NO_DEFINITION}"\n')
        await it.says("canary is not written", f'error="{NO_DEFINITION}"\n')
    assert f" canaries.watchslo.dev missing {NO_DEFINITION} " in " ".join((await check(*words)).out.split())


async def test_a_canary_that_is_not_there(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    cluster = await fresh_cluster()
    await cluster.create_resource(CustomResource(group="watchslo.dev", plural="canaries"))
    words = ("--kubeconfig", cluster.kubeconfig(tmp_path / "kubeconfig"), "--canary.interval=1")
    async with running(*words, "--canary.custom-resource=nowhere/canary") as it:
        await it.says("canary is not written", 'error="canaries.watchslo.dev "canary" not found"')


def test_the_file_that_is_named_is_there() -> None:
    assert (Path(__file__).parents[2] / DEFINITION).is_file()
