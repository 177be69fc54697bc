"""The chart grants what the exporter needs: each verb taken away is missed by its name, and each one is used."""

import asyncio
import contextlib
import copy
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from exporter.commands.check import findings_of, report
from exporter.config import ConfigError, flag_parser, load, read_flags
from exporter.server_metrics.flow_reader import DUMP_REQUESTS
from tests.commands.check.command import read_table
from tests.deploy.rendering import Object, of_kind
from tests.deploy.site import Installed, first_pod_of, install_everything, prepared
from tests.real import service_accounts
from tests.real.custom_resources import CustomResource
from tests.support.observing import started, until

pytestmark = pytest.mark.timeout(180)

ACCOUNT = "system:serviceaccount:observing:observer"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [ACCOUNT]}, {"level": "None"}],
}
BINDINGS = {"ClusterRole": "ClusterRoleBinding", "Role": "RoleBinding"}
RBAC = "rbac.authorization.k8s.io"
PATHS, METRICS = "nonResourceURLs", "/metrics"


@dataclass(frozen=True)
class Granted:
    """One verb on one resource, in one namespace or (None) everywhere, on one name or (None) on all."""

    verb: str
    group: str
    resource: str
    namespace: str | None
    name: str | None

    def allows(self, request: "Granted") -> bool:
        return (
            (self.verb, self.group) == (request.verb, request.group)
            and self.resource in {"*", request.resource}
            and self.namespace in {None, request.namespace}
            and self.name in {None, request.name}
        )


def granted_by(role: Object) -> Iterator[tuple[Object, Granted]]:
    """Each thing that the role allows, with the rule that does."""
    for rule in role["rules"]:
        if PATHS in rule:
            yield from ((rule, Granted(verb, "", path, None, None)) for verb in rule["verbs"] for path in rule[PATHS])
            continue
        names = rule.get("resourceNames", [None])
        every = itertools.product(rule["verbs"], rule["apiGroups"], rule["resources"], names)
        for verb, group, resource, name in every:
            yield rule, Granted(verb, group, resource, role["metadata"].get("namespace"), name)


@dataclass(frozen=True)
class World:
    """The chart with all that can be on, of a single replica, and what the apiserver was asked as its account."""

    installed: Installed
    roles: list[Object]
    """Its own, less that of whoever scrapes it."""
    scrapers_token: str
    audit_log: Path

    def requested(self) -> set[Granted]:
        """What was asked for; that nothing was refused is asserted."""
        found = set()
        for line in self.audit_log.read_text().splitlines():
            event = json.loads(line)
            if event["requestURI"] == METRICS:
                found.add(Granted(event["verb"], "", METRICS, None, None))
            if "objectRef" not in event:
                continue  # discovery, which everybody may read
            assert event.get("responseStatus", {}).get("code") != 403, event
            about: dict[str, Any] = event["objectRef"]
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            where = about.get("namespace"), about.get("name")
            found.add(Granted(event["verb"], about.get("apiGroup", ""), resource, *where))
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server_binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("permissions")
    policy, audit_log = folder / "policy.json", folder / "audit.log"
    policy.write_text(json.dumps(POLICY))
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={audit_log}")
    async with prepared(server_binaries, folder, flags=flags) as site:
        await site.cluster.create_resource(CustomResource(group="example.org", plural="gadgets"))
        changed = ("replicas=1", "rbac.extraRules=[]", "web.authFilter.enabled=true")
        objects = await install_everything(site, *(word for one in changed for word in ("--set-json", one)))
        installed = await first_pod_of(objects, site, folder)
        roles = of_kind(objects, *BINDINGS)
        [scrapers] = [role for role in roles if all(PATHS in rule for rule in role["rules"])]
        roles.remove(scrapers)
        async with site.cluster.client() as client:
            token = await service_accounts.create(client, "scraper")
            await service_accounts.bind(client, "scraper", scrapers["metadata"]["name"], "/metrics")
        yield World(installed, roles, token, audit_log)


async def test_nothing_is_granted_that_is_not_used_and_nothing_used_that_is_not_granted(world: World) -> None:
    granted = [one for role in world.roles for _, one in granted_by(role)]

    def unused() -> list[Granted]:
        requested = world.requested()
        return [one for one in granted if not any(one.allows(request) for request in requested)]

    async def all_are_used() -> bool:
        return not unused()

    with started(*world.installed.flags, environ=world.installed.environment) as exporter:
        await until(exporter.ready)
        authorization = {"Authorization": f"Bearer {world.scrapers_token}"}
        async with aiohttp.ClientSession(headers=authorization) as http, http.get(f"{exporter.url}/metrics") as scrape:
            assert scrape.status == 200
        with contextlib.suppress(AssertionError):  # what it waits for in vain is said below
            await until(all_are_used)
    requested = world.requested()
    assert unused() == []
    assert [request for request in requested if not any(one.allows(request) for one in granted)] == []


async def test_each_verb_that_is_taken_away_is_missed_by_its_name(world: World, tmp_path: Path) -> None:
    found = [(role, rule, lost) for role in world.roles for rule, lost in granted_by(role)]
    losses = [Loss(f"loss-{number}", *of_one) for number, of_one in enumerate(found)]
    assert len(losses) > 20
    objects = [made for loss in losses for made in loss.objects(world)]
    await world.installed.site.kubectl.apply_objects(*objects)
    a_few = asyncio.Semaphore(4)
    said = dict(
        zip(losses, await asyncio.gather(*(missed(world, loss, tmp_path, a_few) for loss in losses)), strict=True)
    )
    for loss, rows in said.items():
        # Without events to list, both the revision clock and image pulls say so.
        assert rows, loss
        assert all(map(loss.is_named_in, rows)), rows


@dataclass(frozen=True, eq=False)
class Loss:
    """An account of its own, with everything that the exporter's has, but one verb on one resource."""

    account: str
    role: Object
    rule: Object
    lost: Granted

    def objects(self, world: World) -> Iterator[Object]:
        namespace = world.installed.namespace
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": self.account, "namespace": namespace}}
        subject = {"kind": "ServiceAccount", "name": self.account, "namespace": namespace}
        for role in world.roles:
            named = dict(role["metadata"])
            if role is self.role:
                named["name"] += f"-{self.account}"
                yield {**role, "metadata": named, "rules": [*self._rules()]}
            reference = {"apiGroup": RBAC, "kind": role["kind"], "name": named["name"]}
            named = {**named, "name": f"{named['name']}-{self.account}"}
            yield {
                "apiVersion": f"{RBAC}/v1",
                "kind": BINDINGS[role["kind"]],
                "metadata": named,
                "roleRef": reference,
                "subjects": [subject],
            }

    def _rules(self) -> Iterator[Object]:
        for rule in self.role["rules"]:
            if rule is not self.rule:
                yield rule
                continue
            without_verb, without_resource = copy.deepcopy(rule), copy.deepcopy(rule)
            without_verb["verbs"].remove(self.lost.verb)
            what = "resources" if "resources" in rule else PATHS
            without_resource[what].remove(self.lost.resource)
            yield from (one for one in (without_verb, without_resource) if one["verbs"] and one[what])

    def is_named_in(self, row: str) -> bool:
        resource = self.lost.resource.replace("*", "widgets")
        return row.startswith(f"{self.lost.verb} {resource}{f'.{self.lost.group}' if self.lost.group else ''}")


async def missed(world: World, loss: Loss, folder: Path, a_few: asyncio.Semaphore) -> list[str]:
    """What `watchslo check` says to be missing, or less good than it may be, but for the trial that then fails.

    The dump of requests is not granted here: it is asked for only while something is wrong.
    """
    site, kubeconfig = world.installed.site, folder / loss.account
    path = f"/api/v1/namespaces/{world.installed.namespace}/serviceaccounts/{loss.account}/token"
    async with a_few, site.cluster.client() as client:
        token = (await client.post(path, {"spec": {}}))["status"]["token"]
        written = json.loads(world.installed.kubeconfig.read_text())
        written["users"][0]["user"]["token"] = token
        kubeconfig.write_text(json.dumps(written))
        words = world.installed.flags_of_check(kubeconfig)
        try:
            [findings] = await findings_of(
                load(read_flags("check", flag_parser("check", ""), words), world.installed.environment).config
            )
        except ConfigError as error:
            return [str(error).partition("needs permission to ")[2]]
    table = read_table(report(findings)[0])
    rows = [row for section in table.values() for row in section.values()]
    return [
        said
        for result, said in rows
        if result in {"missing", "note"} and not said.startswith(("the dry-run write failed", f"get {DUMP_REQUESTS}"))
    ]
