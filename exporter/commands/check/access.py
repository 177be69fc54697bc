"""Rows about permissions: what each one is for, and the RBAC rule that grants a missing one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from exporter.commands.check.findings import Unknown
from exporter.commands.check.table import Row
from exporter.kubernetes.resources import EVENTS
from exporter.server_metrics.flow_reader import DUMP_REQUESTS

if TYPE_CHECKING:
    from exporter.commands.check.findings import Findings, Review

CLOCK = "revision clock"


def permission_rows(findings: Findings) -> list[Row]:
    """A row for each permission that the daemon needs."""
    rows = _watch_rows(findings)
    if findings.config.custom_resources:
        rows.append(_definitions_row(findings.definitions))
    if findings.config.revision_clock_hz:
        rows.append(_clock_row(findings))
    for review in findings.canaries or ():
        rows.append(_required(f"canary {review.resource}", review, "a canary cannot be written"))
    for review in findings.readers:
        rows.append(_required(f"auth filter {review.resource.plural}", review, "no client can be authenticated"))
    if findings.pulls is not None:
        rows.append(_pulls_row(findings.pulls))
    if findings.reads_server_metrics:
        rows.append(_server_metrics_row(findings))
    if findings.reads_request_dump:
        rows.append(_request_dump_row(findings))
    rows.append(_endpoints_row(findings.endpoints))
    return rows


def _watch_rows(findings: Findings) -> list[Row]:
    if findings.watches is None:
        return [Row(f"watch {name}", "not checked") for name in findings.watched_names]
    rows = []
    for review in findings.watches:
        resource = review.resource
        rows.append(_required(f"watch {resource}", review, f"{resource} cannot be watched"))
    return rows


def _definitions_row(review: Review | None) -> Row:
    if review is None:
        return Row("custom resources", "not checked")
    return _required("custom resources", review, "custom resources cannot be followed")


def _required(check: str, review: Review, loss: str) -> Row:
    if isinstance(review.missing, Unknown):
        return Row(check, "failed", review.missing.sentence, loss=f"{loss}, or this could not be checked")
    if not review.missing:
        return Row(check, "ok", _wanted(review))
    without = f"{loss} without the permission to {_verbs(review)} {review.resource}"
    means = "" if review.grants("watch") else "; watch includes the right to read whole objects"
    return Row(check, "missing", f"{_verbs(review)} {review.resource}{means}; {_add(review)}", _rule(review), without)


def _clock_row(findings: Findings) -> Row:
    """Without the first of its kinds the clock polls another, with wider bounds; without any, bounds hardly exist."""
    if findings.clock is None:
        return Row(CLOCK, "not checked")
    kind = findings.clock_kind
    best = findings.clock[0]
    if isinstance(best.missing, Unknown):
        return Row(CLOCK, "failed", best.missing.sentence, loss="it is not known whether the revision clock may poll")
    if kind == EVENTS:
        return Row(CLOCK, "ok", f"{_wanted(best)}; polls read from etcd and wait for no watch cache")
    if kind is None:
        own = (
            "each watched resource is polled instead, and these polls wait for the watch cache that they should measure"
        )
        loss = f"a slow watch cache stays hidden without the permission to list {EVENTS}"
        return Row(CLOCK, "missing", f"list {EVENTS}; {own}; {_add(best)}", _rule(best), loss)
    instead = f"{kind} are polled instead; they have a watch cache, and while it lags, polls wait and bounds are wider"
    return Row(CLOCK, "note", f"list {EVENTS} is not allowed; {instead}; to poll {EVENTS}, {_add(best)}", _rule(best))


def _pulls_row(review: Review) -> Row:
    """Without them the lower bounds of the SLI's times are wide, and nothing is wrong."""
    return _useful("image pulls", review, ": what image pulls take of a pod's start is not known;")


def _endpoints_row(review: Review | None) -> Row:
    check = "count apiservers"
    if review is None:
        return Row(check, "not checked")
    return _useful(check, review, "; only needed so that timestamps in objects narrow intervals; for that,")


def _useful(check: str, review: Review, without: str) -> Row:
    """A permission that is a note where it is missing; `without` says what for."""
    if isinstance(review.missing, Unknown):
        return Row(check, "note", review.missing.sentence)
    if not review.missing:
        return Row(check, "ok", _wanted(review))
    said = f"{_verbs(review)} {review.resource} is not allowed{without} {_add(review)}"
    return Row(check, "note", said, _rule(review))


def _server_metrics_row(findings: Findings) -> Row:
    """What they confirm is otherwise only suspected, so that only who asks for them has to have them."""
    row = _path_row(
        "server metrics", findings.server_metrics, "/metrics", "so that causes rest on the apiserver's own metrics, too"
    )
    if findings.server_metrics is False and findings.config.apiserver_metrics == "on":
        loss = "the apiserver's own metrics cannot be read without the permission to get /metrics"
        return replace(row, result="missing", loss=loss)
    return row


def _request_dump_row(findings: Findings) -> Row:
    need = "to say without an audit log whose requests an apiserver is busy with"
    return _path_row("request dump", findings.request_dump, DUMP_REQUESTS, need)


def _path_row(check: str, may: bool | Unknown | None, path: str, need: str) -> Row:  # noqa: FBT001 what was found
    """A path that is no resource's, and what to get it is only needed for."""
    if may is None:
        return Row(check, "not checked")
    if isinstance(may, Unknown):
        return Row(check, "note", may.sentence)
    if may:
        return Row(check, "ok", f"get {path}")
    said = f"get {path} is not allowed; only needed {need}; for that, add to a ClusterRole:"
    return Row(check, "note", said, f"- {{nonResourceURLs: [{path}], verbs: [get]}}")


def _wanted(review: Review) -> str:
    verbs = ", ".join(permission.verb for permission in review.permissions)
    return f"{verbs} {review.resource}{f' in namespace {review.namespace}' if review.namespace else ''}"


def _verbs(review: Review) -> str:
    assert not isinstance(review.missing, Unknown)
    return ", ".join(permission.verb for permission in review.missing)


def _add(review: Review) -> str:
    return f"add to a {f'Role in namespace {review.namespace}' if review.namespace else 'ClusterRole'}:"


def _rule(review: Review) -> str:
    """One item of a role's `rules`, as YAML: for one name, if nothing else is missing."""
    assert not isinstance(review.missing, Unknown)
    group = review.resource.group or '""'
    names = {permission.name for permission in review.missing}
    only = "" if None in names else f", resourceNames: [{', '.join(map(str, names))}]"
    return f"- {{apiGroups: [{group}], resources: [{review.resource.plural}]{only}, verbs: [{_verbs(review)}]}}"
