"""What is kept of one audit event, whatever shape it came in."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import msgspec

Verb: TypeAlias = Literal[
    "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "connect", "other"
]
VERBS: tuple[Verb, ...] = get_args(Verb)
"""Kubernetes' own. Outside of the resources the verb is the method, which a client may choose: that is `other`."""

Wait: TypeAlias = Literal[
    "apf-queue-wait",
    "authentication",
    "authorization",
    "mutating-webhook",
    "validating-webhook",
    "etcd",
    "decode-response-object",
    "transform-response-object",
    "serialize-response-object",
    "response-write",
]
WAITS: tuple[Wait, ...] = get_args(Wait)
"""What a request that took more than half a second spent its time on, by its annotations apiserver.latency.k8s.io."""

AuditStage: TypeAlias = Literal["started", "complete"]


class AuditEvent(msgspec.Struct, frozen=True, gc=False):
    """A request when its response started, which only watches and their like have, or when it was complete."""

    audit_id: str
    stage: AuditStage
    verb: Verb
    user: str
    agent: str
    pod: str
    """Name of the Pod whose token it was; "" where the token does not say."""
    instance: str
    """What tells processes of one user apart: the Pod's uid, or the address that the request came from."""
    resource: str
    """As in `pods`, `deployments.apps` or `pods/status`; "" for a request that is for no resource."""
    namespace: str
    name: str
    query: str | None
    """Of the request's URI; None where the log does not have it."""
    code: int
    """The status by HTTP; 0 where the log does not have it."""
    received: float | None
    """None where the log does not have it: nobody knows then how long the request took."""
    staged: float
    waits: tuple[tuple[Wait, float], ...] = ()
