"""ServiceAccounts on a real apiserver: a name in, a token and rights out."""

from collections.abc import Sequence

from tests.real.api import ApiClient
from tests.real.permissions import ACCESS_REVIEWS, RBAC_GROUP
from tests.support.waiting import wait_until

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
RBAC = f"/apis/{RBAC_GROUP}/v1"


async def create(client: ApiClient, name: str) -> str:
    """A new ServiceAccount in namespace default, and a token of it as TokenRequest gives it."""
    await client.post(ACCOUNTS, {"metadata": {"name": name}})
    answer = await client.post(f"{ACCOUNTS}/{name}/token", {"spec": {"expirationSeconds": 3600}})
    token: str = answer["status"]["token"]
    return token


async def create_role(client: ApiClient, role: str, paths: Sequence[str]) -> None:
    """A ClusterRole that lets these paths be read."""
    rules = [{"nonResourceURLs": list(paths), "verbs": ["get"]}]
    await client.post(f"{RBAC}/clusterroles", {"metadata": {"name": role}, "rules": rules})


async def bind(client: ApiClient, name: str, role: str, path: str) -> None:
    """Binds it to a ServiceAccount; on return `path` may be read."""
    reference = {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    binding = {"metadata": {"name": f"{role}-{name}"}, "roleRef": reference, "subjects": [subject]}
    await client.post(f"{RBAC}/clusterrolebindings", binding)
    user = f"system:serviceaccount:default:{name}"

    async def is_in_force() -> bool:
        spec = {"user": user, "nonResourceAttributes": {"path": path, "verb": "get"}}
        return bool((await client.post(ACCESS_REVIEWS, {"spec": spec}))["status"]["allowed"])

    await wait_until(is_in_force, f"{name} may get {path}")
