"""A real apiserver whose audit log is written: as docs/audit.md advises, to a file, and to a webhook."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.conftest import FreshCluster
from tests.real.certificates import CertificateAuthority
from tests.real.cluster import Cluster
from tests.real.process import free_port
from tests.support.protected import VERIFIED
from tests.support.waiting import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
WAIT_SECONDS = 60.0


class Watching(Protocol):
    """A client that watches."""

    @property
    def agent(self) -> str: ...

    @property
    def resources(self) -> tuple[str, ...]: ...


class Log:
    """An audit log that is still written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def watches(self, agent: str) -> int:
        """How many of its watches have begun."""
        with self.path.open() as file:
            events = [json.loads(line) for line in file if line.endswith("\n")]
        return sum((event["userAgent"], event["stage"]) == (agent, "ResponseStarted") for event in events)

    async def resumed_after(self, informers: Collection[Watching], before: Counter[str]) -> None:
        def all_have() -> bool:
            return all(self.watches(one.agent) >= before[one.agent] + len(one.resources) for one in informers)

        await wait_until(all_have, "all watch again", timeout_seconds=WAIT_SECONDS)

    def report(self) -> dict[str, Any]:
        """What watchslo says of it."""
        said: dict[str, Any] = json.loads(self.said("json"))
        return said

    def said(self, output: str = "table") -> str:
        """The same in another form."""
        words = [sys.executable, "-m", "exporter", "audit", str(self.path), f"--output={output}"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@contextlib.asynccontextmanager
async def recorded(
    fresh_cluster: FreshCluster,
    folder: Path,
    *users: str,
    flags: tuple[str, ...] = (),
    unseen: str | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Cluster, Log]]:
    """By the policy of the page, which leaves out requests for the resource `unseen` as well."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("```yaml\n")
    policy, _, _ = rest.partition("```")
    if unseen is not None:
        policy = policy.replace(
            "rules:\n", f'rules:\n  - level: None\n    resources: [{{group: "", resources: [{unseen}]}}]\n'
        )
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    log = Log(folder / "audit.log")
    audit = (f"--audit-policy-file={folder / 'policy.yaml'}", f"--audit-log-path={log.path}")
    yield await fresh_cluster(flags=[*audit, *flags], users=users, **options), log


class AuditWebhook(NamedTuple):
    """The flags of both sides."""

    of_apiserver: tuple[str, ...]
    of_exporter: tuple[str, ...]


def audit_webhook(folder: Path) -> AuditWebhook:
    """With certificates for both."""
    authority = CertificateAuthority(folder)
    authority.issue("server")
    issued = authority.issue("apiserver")
    (folder / "ca.crt").write_bytes(authority.bundle)
    (folder / "web.yaml").write_text(json.dumps({"tls_server_config": VERIFIED}))
    port = free_port("127.0.0.1")
    server = {"server": f"https://127.0.0.1:{port}/", "certificate-authority": str(folder / "ca.crt")}
    user = {"client-certificate": str(issued.certificate_file), "client-key": str(issued.key_file)}
    webhook = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": server}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    (folder / "webhook.yaml").write_text(json.dumps(webhook))
    of_apiserver = (f"--audit-webhook-config-file={folder / 'webhook.yaml'}", "--audit-webhook-batch-max-wait=1s")
    of_exporter = (f"--audit.listen-address=127.0.0.1:{port}", f"--audit.web-config.file={folder / 'web.yaml'}")
    return AuditWebhook(of_apiserver, of_exporter)
