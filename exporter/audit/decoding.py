"""Decodes one JSON text into an audit event: as apiservers write it, or as EKS, AKS and GKE wrap it.

Only what is counted is decoded. Texts are cut to what tells one from the other, and how many were cut is counted.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from exporter.audit.events import VERBS, WAITS, AuditEvent
from exporter.wording.durations import go_seconds
from exporter.wording.kinds import kind_name

if TYPE_CHECKING:
    from exporter.audit.events import AuditStage, Verb

LONGEST_USER = 400
"""system:serviceaccount:, a namespace of 63 and a name of 253."""

LONGEST_AGENT = 200
LONGEST_NAME = 253
LONGEST_QUERY = 4096
LONGEST_ID = 64

_EXTRA = "authentication.kubernetes.io/"
_LATENCY = "apiserver.latency.k8s.io/"
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_STAGES: dict[str, AuditStage] = {"ResponseStarted": "started", "ResponseComplete": "complete", "Panic": "complete"}
_VERBS: dict[str, Verb] = {verb: verb for verb in VERBS}
_GRPC_CODES = {0: 200, 5: 404, 6: 409, 7: 403, 8: 429, 9: 409, 10: 409, 16: 401}
_GROUPS_WITHOUT_DOMAIN = {"core", "apps", "autoscaling", "batch", "extensions", "policy"}
_VERSION = re.compile(r"v\d+((alpha|beta)\d+)?")


Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class _Extra(msgspec.Struct, gc=False, rename={"pod": f"{_EXTRA}pod-name", "uid": f"{_EXTRA}pod-uid"}):
    pod: list[str] | None = None
    uid: list[str] | None = None


class _User(msgspec.Struct, gc=False):
    username: str | None = None
    extra: _Extra | None = None


class _ObjectRef(msgspec.Struct, gc=False):
    resource: str | None = None
    namespace: str | None = None
    name: str | None = None
    apiGroup: str | None = None  # noqa: N815 Kubernetes' own name
    subresource: str | None = None


class _Status(msgspec.Struct, gc=False):
    code: int = 0


_FIELD_OF_WAIT = {wait: wait.replace("-", "_") for wait in WAITS}


class _Annotations(msgspec.Struct, gc=False, rename={field: _LATENCY + wait for wait, field in _FIELD_OF_WAIT.items()}):
    apf_queue_wait: str | None = None
    authentication: str | None = None
    authorization: str | None = None
    mutating_webhook: str | None = None
    validating_webhook: str | None = None
    etcd: str | None = None
    decode_response_object: str | None = None
    transform_response_object: str | None = None
    serialize_response_object: str | None = None
    response_write: str | None = None


_NOTHING_SLOW = _Annotations()


class _Kubernetes(
    msgspec.Struct,
    gc=False,
    rename={"audit_id": "auditID", "uri": "requestURI", "received": "requestReceivedTimestamp"}
    | {"staged": "stageTimestamp", "ips": "sourceIPs", "agent": "userAgent", "ref": "objectRef"}
    | {"status": "responseStatus", "impersonated": "impersonatedUser"},
):
    """audit.k8s.io/v1 Event."""

    audit_id: str = ""
    stage: str = ""
    verb: str = ""
    uri: str = ""
    user: _User | None = None
    impersonated: _User | None = None
    ips: list[str] | None = None
    agent: str = ""
    ref: _ObjectRef | None = None
    status: _Status | None = None
    received: Time | None = None
    staged: Time | None = None
    annotations: _Annotations | None = None


class _Columns(
    msgspec.Struct,
    gc=False,
    rename={"audit_id": "AuditId", "uri": "RequestUri", "received": "RequestReceivedTime", "stage": "AuditStage"}
    | {"staged": "StageReceivedTime", "ips": "SourceIps", "agent": "UserAgent", "ref": "ObjectRef", "verb": "Verb"}
    | {"status": "ResponseStatus", "user": "User", "impersonated": "ImpersonatedUser", "annotations": "Annotations"},
):
    """AKSAudit and AKSAuditAdmin: columns, of which the dynamic ones may be JSON in a text."""

    audit_id: str | None = None
    stage: str | None = None
    verb: str | None = None
    uri: str | None = None
    user: _User | str | None = None
    impersonated: _User | str | None = None
    ips: list[str] | str | None = None
    agent: str | None = None
    ref: _ObjectRef | str | None = None
    status: _Status | str | None = None
    received: Time | None = None
    staged: Time | None = None
    annotations: _Annotations | str | None = None


class _Properties(msgspec.Struct, gc=False):
    log: str | None = None


class _Envelope(msgspec.Struct, gc=False):
    """What has the event as apiservers write it in a text: CloudWatch, AzureDiagnostics, an Azure event hub."""

    message: str | None = None
    log_s: str | None = None
    properties: _Properties | None = None


class _Authentication(msgspec.Struct, gc=False, rename={"email": "principalEmail"}):
    email: str | None = None


class _Caller(msgspec.Struct, gc=False, rename={"ip": "callerIp", "agent": "callerSuppliedUserAgent"}):
    ip: str | None = None
    agent: str | None = None


class _Payload(
    msgspec.Struct,
    gc=False,
    rename={"method": "methodName", "name": "resourceName", "caller": "requestMetadata", "who": "authenticationInfo"},
):
    method: str
    name: str = ""
    caller: _Caller | None = None
    who: _Authentication | None = None
    status: _Status | None = None


class _Operation(msgspec.Struct, gc=False):
    id: str = ""
    first: bool = False
    last: bool = False


class _LogEntry(msgspec.Struct, gc=False, rename={"payload": "protoPayload", "id": "insertId"}):
    """Google's Cloud Logging: no query, and no time at which the request was received."""

    payload: _Payload
    timestamp: Time
    id: str = ""
    operation: _Operation | None = None


class AuditDecoder:
    """One JSON text in, an event or None out. What is none is counted as `unreadable`, unless only received yet."""

    def __init__(self) -> None:
        self.unreadable = 0
        """How many texts are no audit events; whoever has read them from somewhere adds what is no text at all."""
        self.received_only = 0
        """How many events tell of a request that has come and has not been answered: the answer has its own."""
        self.cut = 0
        """How many texts were longer than is kept of them."""
        self._kubernetes = msgspec.json.Decoder(_Kubernetes)
        self._columns = msgspec.json.Decoder(_Columns)
        self._envelope = msgspec.json.Decoder(_Envelope)
        self._log_entry = msgspec.json.Decoder(_LogEntry)

    def decode(self, text: bytes) -> AuditEvent | None:
        """An event in whatever shape."""
        for attempt in (self.try_plain, self._wrapped, self._of_columns, self._of_log_entry):
            with suppress(*_UNREADABLE):
                is_known, event = attempt(text)
                if is_known:
                    return event
        self.unreadable += 1
        return None

    def try_plain(self, text: bytes | str) -> tuple[bool, AuditEvent | None]:
        """Whether it is an event as apiservers write it; and the event, unless it tells nothing that another does not.

        Whatever is none is left to others to count.
        """
        try:
            found = self._kubernetes.decode(text)
        except _UNREADABLE:
            return False, None
        return self._known(found)

    def _known(self, found: _Kubernetes) -> tuple[bool, AuditEvent | None]:
        if not found.audit_id or found.staged is None:
            return False, None
        if found.stage == "RequestReceived":
            self.received_only += 1
            return True, None
        event = self._event(found)
        return event is not None, event

    def _event(self, found: _Kubernetes) -> AuditEvent | None:
        stage = _STAGES.get(found.stage)
        if stage is None or found.staged is None:
            return None
        user, agent, ref, ips = found.user or _User(), found.agent, found.ref or _ObjectRef(), found.ips
        extra = user.extra
        pod = extra.pod[0] if extra is not None and extra.pod else ""
        uid = extra.uid[0] if extra is not None and extra.uid else ""
        name = user.username or ""
        if found.impersonated is not None:
            name = f"{name} as {found.impersonated.username or ''}"
        return AuditEvent(
            audit_id=found.audit_id[:LONGEST_ID],
            stage=stage,
            verb=_VERBS.get(found.verb, "other"),
            user=name if len(name) <= LONGEST_USER else self._cut(name, LONGEST_USER),
            agent=agent if len(agent) <= LONGEST_AGENT else self._cut(agent, LONGEST_AGENT),
            pod=pod[:LONGEST_NAME],
            instance=(uid or (ips[-1] if ips else ""))[:LONGEST_ID],  # the only address that no client can choose
            resource=_resource(ref.resource or "", ref.apiGroup or "", ref.subresource or ""),
            namespace=(ref.namespace or "")[:LONGEST_NAME],
            name=(ref.name or "")[:LONGEST_NAME],
            query=found.uri.partition("?")[2][:LONGEST_QUERY],
            code=found.status.code if found.status is not None else 0,
            received=found.received.timestamp() if found.received is not None else None,
            staged=found.staged.timestamp(),
            waits=_waits(found.annotations) if found.annotations not in (None, _NOTHING_SLOW) else (),
        )

    def _cut(self, text: str, most: int) -> str:
        self.cut += 1
        return text[:most]

    def _wrapped(self, text: bytes) -> tuple[bool, AuditEvent | None]:
        envelope = self._envelope.decode(text)
        inner = envelope.message or envelope.log_s or (envelope.properties and envelope.properties.log)
        return self.try_plain(inner) if inner else (False, None)

    def _of_columns(self, text: bytes) -> tuple[bool, AuditEvent | None]:
        found = self._columns.decode(text)
        return self._known(
            _Kubernetes(
                audit_id=found.audit_id or "",
                stage=found.stage or "",
                verb=found.verb or "",
                uri=found.uri or "",
                user=_dynamic(found.user, _User),
                impersonated=_dynamic(found.impersonated, _User),
                ips=_dynamic(found.ips, list[str]),
                agent=found.agent or "",
                ref=_dynamic(found.ref, _ObjectRef),
                status=_dynamic(found.status, _Status),
                received=found.received,
                staged=found.staged,
                annotations=_dynamic(found.annotations, _Annotations),
            )
        )

    def _of_log_entry(self, text: bytes) -> tuple[bool, AuditEvent | None]:
        found = self._log_entry.decode(text)
        payload, operation = found.payload, found.operation or _Operation()
        group, resource, subresource, verb = _method(payload.method)
        if not resource:
            return False, None
        caller, who, status = payload.caller or _Caller(), payload.who or _Authentication(), payload.status
        parts = payload.name.split("/")
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else ""
        agent, user = caller.agent or "", who.email or ""
        event = AuditEvent(
            audit_id=(operation.id or found.id)[:LONGEST_ID],
            stage="started" if operation.first and not operation.last else "complete",
            verb=_VERBS.get(verb, "other"),
            user=user if len(user) <= LONGEST_USER else self._cut(user, LONGEST_USER),
            agent=agent if len(agent) <= LONGEST_AGENT else self._cut(agent, LONGEST_AGENT),
            pod="",
            instance=(caller.ip or "")[:LONGEST_ID],
            resource=_resource(resource, "" if group == "core" else group, subresource),
            namespace=namespace[:LONGEST_NAME],
            name="" if verb in ("list", "watch", "create") else parts[-1][:LONGEST_NAME],
            query=None,
            code=_GRPC_CODES.get(status.code, 500) if status is not None else 200,
            received=None,
            staged=found.timestamp.timestamp(),
        )
        return True, event


def _resource(resource: str, group: str, subresource: str) -> str:
    whole = kind_name(group, resource)
    return (f"{whole}/{subresource}" if subresource else whole)[:LONGEST_NAME]


def _method(name: str) -> tuple[str, str, str, str]:
    """Group, resource, subresource and verb of io.k8s.core.v1.pods.status.update, where it reads so."""
    parts = name[:LONGEST_NAME].split(".")
    version = next((at for at, part in enumerate(parts) if _VERSION.fullmatch(part)), None)
    if version is None or not 3 <= len(parts) - version <= 4 or version == 0:
        return "", "", "", ""
    group = ".".join(reversed(parts[:version]))
    resource, *subresource, verb = parts[version + 1 :]
    if group.removesuffix(".k8s.io") in _GROUPS_WITHOUT_DOMAIN:
        group = group.removesuffix(".k8s.io")
    return group, resource, subresource[0] if subresource else "", verb


def _dynamic(value: Any, kind: Any) -> Any:
    """A column's value, of which some exports make a text."""
    return msgspec.json.decode(value, type=kind) if isinstance(value, str) and value else value or None


def _waits(annotations: Any) -> tuple[Any, ...]:
    """Most requests have none."""
    found = []
    for wait, field in _FIELD_OF_WAIT.items():
        text = getattr(annotations, field)
        if text is not None:
            found.append((wait, go_seconds(text) or 0.0))
    return tuple(found)
