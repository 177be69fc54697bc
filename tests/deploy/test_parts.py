"""What an administrator applies once, and what a team installs then: on a real kube-apiserver, as two users."""

from pathlib import Path

import pytest

from tests.commands.check.command import check
from tests.deploy.kubectl import CommandError
from tests.deploy.rendering import rendered
from tests.deploy.site import first_pod_of, prepared
from tests.support.observing import started, until

ADMINISTRATORS = tuple(f"--show-only=templates/{name}.yaml" for name in ("rbac", "canaries", "flowschema"))
OF_THE_TEAM = ("--set", "rbac.create=false,canary.create=false,flowSchema.enabled=false")
TEAM = "team"
# What the ClusterRole admin has once a controller manager has put it together; there is none here.
ADMIN_OF_A_NAMESPACE = ("system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view")


@pytest.mark.timeout(180)
async def test_a_team_installs_what_an_administrator_has_prepared(server_binaries: Path, tmp_path: Path) -> None:
    async with prepared(server_binaries, tmp_path) as site:
        await site.create_namespace("watchslo")
        for role in ADMIN_OF_A_NAMESPACE:
            words = ("--clusterrole", role, "--user", TEAM, "--namespace", "watchslo")
            await site.kubectl.run("create", "rolebinding", role.replace(":", "-"), *words)
        prepared_objects = rendered(*ADMINISTRATORS)
        for one in prepared_objects:
            with pytest.raises(CommandError, match=r"forbidden|NotFound"):
                await site.kubectl.apply_objects(one, user=TEAM)
        await site.kubectl.apply_objects(*prepared_objects)
        objects = rendered(*OF_THE_TEAM)
        kinds = {one["kind"] for one in objects}
        assert kinds == {"ServiceAccount", "Service", "StatefulSet", "NetworkPolicy", "Pod"}, "the Pod is helm's test"
        for one in objects:
            await site.kubectl.apply_objects(one, user=TEAM)
        everything = {(one["kind"], one["metadata"]["name"]) for one in rendered()}
        parts = [*objects, *prepared_objects]
        assert {(one["kind"], one["metadata"]["name"]) for one in parts} == everything
        installed = await first_pod_of(objects, site, tmp_path)
        ended = await check(*installed.flags, environ=installed.environment)
        assert (ended.exit_code, ended.last_line) == (0, "all good"), ended.out
        with started(*installed.flags, environ=installed.environment) as exporter:
            await until(exporter.ready)
            await exporter.wait_for(lambda scrape: scrape.sum("canary_delivery_seconds_count") > 1)
            assert exporter.stop() == 0
