"""The rules for an audit policy on a real kube-apiserver: it takes them, and the exporter's polls are not logged."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.deploy.rendering import ROOT, rendered
from tests.deploy.site import first_pod_of, prepared
from tests.support.observing import started, until

POLICY = ROOT / "deploy" / "audit" / "policy.yaml"
ACCOUNT = "system:serviceaccount:watchslo:watchslo"


@pytest.mark.timeout(120)
async def test_neither_polls_nor_canaries_are_logged_and_watches_are(server_binaries: Path, tmp_path: Path) -> None:
    audit_log = tmp_path / "audit.log"
    flags = (f"--audit-policy-file={POLICY}", f"--audit-log-path={audit_log}", "--audit-log-mode=blocking-strict")
    async with prepared(server_binaries, tmp_path, flags=flags) as site:
        await site.create_namespace("watchslo")
        objects = rendered()
        await site.kubectl.apply_objects(*objects)
        installed = await first_pod_of(objects, site, tmp_path)
        with started(*installed.flags, environ=installed.environment) as exporter:
            await until(exporter.ready)
            scrape = await exporter.wait_for(lambda scrape: scrape.sum("canary_writes_total") > 3)
            assert scrape.sum("clock_polls_total", clock="revision", result="ok") > 10
            assert exporter.stop() == 0
    events = [json.loads(line) for line in audit_log.read_text().splitlines()]
    verbs = Counter(event["verb"] for event in events if event["user"]["username"] == ACCOUNT and "objectRef" in event)
    assert verbs.keys() == {"watch"}, verbs
    assert verbs["watch"] >= 3, "of pods, nodes and canaries"
