"""Findings in, what they mean for a person out: the table and the sentence below it. Nothing is asked here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.check import access
from exporter.check.findings import NotServed, Trouble
from exporter.check.table import GOOD, Row, Section, table
from exporter.check.timing import clock_rows, round_trip_row
from exporter.tables import folded

if TYPE_CHECKING:
    from exporter.check.findings import Findings, Found, Greeting, Proof, User


def report(findings: Findings, width: int | None = None) -> tuple[str, bool]:
    """The whole text, for a terminal of this width, and whether all is good."""
    sections = _sections(findings)
    rows = [row for section in sections for row in section.rows]
    is_good = all(row.result in GOOD for row in rows)
    last_lines = folded(_last_line(findings, rows, is_good=is_good), width)
    return "\n".join([table(sections, width), "", *last_lines]), is_good


def _last_line(findings: Findings, rows: list[Row], *, is_good: bool) -> str:
    if is_good:
        return "all good"
    losses = [row.loss for row in rows if row.loss]
    if findings.ran_out_of_time:
        losses.append("the apiserver was too slow for the rest to be checked")
    return f"not good: {'; '.join(losses or ['not everything could be checked'])}"


def _sections(findings: Findings) -> list[Section]:
    return [
        Section("configuration", tuple(_configuration(findings))),
        Section("server", tuple(_server(findings))),
        Section("credentials", (_credentials(findings),)),
        Section("permissions", tuple(access.permission_rows(findings))),
        Section("resources", tuple(_resources(findings))),
        Section("one store", tuple(_stores(findings))),
        Section("clock", tuple(clock_rows(findings))),
    ]


def _configuration(findings: Findings) -> list[Row]:
    config = findings.config
    named = _namer(findings) if findings.server.is_one_apiserver else "named by the credentials"
    kubeconfig = config.kubeconfig or "none named: the pod's service account, else $KUBECONFIG, else ~/.kube/config"
    where = f"in namespace {config.namespace}" if config.namespace else "in all namespaces"
    rows = [
        Row("kubeconfig", "ok", f"{kubeconfig}{f', context {config.context}' if config.context else ''}"),
        Row("apiserver", "ok", f"{findings.server.url}, {named}"),
    ]
    if config.resources:
        rows.append(Row("resources", "ok", f"{', '.join(map(str, config.resources))}, {where}"))
    if config.custom_resources:
        globs, most = ", ".join(config.custom_resources), config.custom_resources_max
        rows.append(Row("custom resources", "ok", f"{globs}, at most {most}, {where}"))
    objective = f"{config.slo_objective_ratio * 100:g} % of the events of a rolling {config.slo_window_seconds:g} s"
    rows.append(Row("objective", "ok", f"{objective} within {config.slo_threshold_seconds:g} s"))
    hz = config.revision_clock_hz
    if hz:
        most_polls = f"at most {config.clock_max_requests_hz:g} in all"
        rows.append(Row("revision clock", "ok", f"{hz:g} polls per second, {most_polls}"))
    else:
        rows.append(Row("revision clock", "note", "off: without it no event is certainly on time or late"))
    return rows


def _server(findings: Findings) -> list[Row]:
    greeting = findings.greeting
    unchecked = [Row(check, "not checked") for check in ("version", "address", "apiservers", "proxies", "round trip")]
    if greeting is None:
        return [Row("connection", "not checked"), *unchecked]
    if isinstance(greeting, Trouble):
        loss = f"{findings.server.name} cannot be asked"
        return [Row("connection", "failed", greeting.sentence, loss=loss), *unchecked]
    return [
        _connection(greeting),
        _version(greeting),
        _address(findings),
        _apiservers(findings),
        _proxies(greeting),
        round_trip_row(findings),
    ]


def _namer(findings: Findings) -> str:
    return "found by --apiserver.discover" if findings.config.discover_apiservers else "named with --apiserver"


def _connection(greeting: Greeting) -> Row:
    answered = f"first answer after {greeting.seconds * 1000:.0f} ms, connecting included"
    if greeting.is_certificate_verified:
        return Row("connection", "ok", f"TLS, certificate verified; {answered}")
    what = "no TLS" if greeting.is_certificate_verified is None else "TLS, but the certificate is not verified"
    return Row("connection", "note", f"{what}: whoever stands between can read and change everything; {answered}")


def _version(greeting: Greeting) -> Row:
    if isinstance(greeting.version, Trouble):
        return Row("version", "note", f"not told: {greeting.version.sentence}")
    return Row("version", "ok", greeting.version)


def _address(findings: Findings) -> Row:
    if findings.server.is_one_apiserver and (findings.certificates or 1) > 1:
        return Row(
            "address",
            "note",
            f"{_namer(findings)} as one apiserver, but it shows {findings.certificates} different certificates: it "
            "stands before several, and stages would be wrong until that is noticed; give each apiserver's own address",
        )
    if findings.server.is_one_apiserver:
        return Row("address", "ok", f"one apiserver, {_namer(findings)}: its connections share what they learn")
    return Row(
        "address",
        "note",
        "may be a balancer over several apiservers: each connection has to learn its clock's offset before its Date is "
        "evidence, and stages and stamps in objects are not measured; --apiserver URL names one apiserver",
    )


def _apiservers(findings: Findings) -> Row:
    count = findings.apiservers
    if findings.endpoints is None:
        return Row("apiservers", "not checked")
    if count is None:
        return Row("apiservers", "note", "how many there are is not told: stamps in objects do not narrow intervals")
    if findings.identities is not None and findings.identities > count:
        return Row(
            "apiservers",
            "note",
            f"{findings.identities} keep a Lease that tells of them, but the cluster lists {count} address"
            f"{'' if count == 1 else 'es'}: one stands before several; give each apiserver's own address",
        )
    named = len(findings.config.apiservers) or int(findings.server.is_one_apiserver)
    if findings.config.discover_apiservers or count == named:
        whose = "whose clock's offset is" if count == 1 else "whose clocks' offsets are"
        return Row("apiservers", "ok", f"{count}, {whose} learned: stamps in objects narrow intervals")
    if count > 1:
        return Row("apiservers", "note", f"{count}, and any may stamp an object: stamps do not narrow intervals")
    return Row("apiservers", "note", "1, but only named with --apiserver URL is it known to be the one that answers")


def _proxies(greeting: Greeting) -> Row:
    if not greeting.on_the_way:
        return Row("proxies", "ok", "none seen")
    seen = ", ".join(greeting.on_the_way)
    return Row("proxies", "note", f"{seen}: the latency of what stands between is measured too")


def _credentials(findings: Findings) -> Row:
    user = findings.user
    if user is None:
        return Row("identity", "not checked")
    if isinstance(user, Trouble):
        loss = f"{findings.server.name} does not let us in: {user.sentence}"
        return Row("identity", "failed", user.sentence, loss=loss)
    return _known_as(user)


def _known_as(user: User) -> Row:
    if user.name is None:
        return Row("identity", "ok", "accepted; the apiserver does not tell as whom")
    if user.name == "system:anonymous":
        return Row("identity", "note", "system:anonymous: no credentials were given, or none that this server reads")
    return Row("identity", "ok", user.name)


def _resources(findings: Findings) -> list[Row]:
    if findings.found is None:
        rows = [Row(str(name), "not checked") for name in findings.watched_names]
    else:
        rows = [_found(found, findings.config.namespace) for found in findings.found]
    if findings.config.custom_resources:
        rows.append(_custom_resources(findings))
    return rows


def _found(found: Found, namespace: str | None) -> Row:
    name, resource = str(found.name), found.resource
    if isinstance(resource, NotServed):
        return Row(name, "missing", resource.sentence, loss=f"{name} is not served and cannot be watched")
    if isinstance(resource, Trouble):
        return Row(name, "failed", resource.sentence, loss=f"{name} cannot be found: {resource.sentence}")
    version = f"{resource.group}/{resource.version}" if resource.group else resource.version
    if resource.is_namespaced:
        return Row(name, "ok", f"{version}, namespaced")
    return Row(name, "ok", f"{version}, cluster scope{': --namespace does not apply' if namespace else ''}")


def _custom_resources(findings: Findings) -> Row:
    check, custom = " ".join(findings.config.custom_resources), findings.custom
    if custom is None:
        return Row(check, "not checked")
    if isinstance(custom, Trouble):
        return Row(check, "failed", custom.sentence, loss="custom resources cannot be followed")
    count = len(custom.watched)
    matching = (
        [f"{count} custom resource{'s match' if count > 1 else ' matches'} now, and more may come"] if count else []
    )
    notes = list(custom.unmatched)
    if custom.left_out:
        most = findings.config.custom_resources_max
        notes.insert(0, f"{custom.left_out} more match and are left out by --custom-resources.max {most}")
    return Row(check, "note" if notes else "ok", "; ".join([*matching, *notes]))


def _stores(findings: Findings) -> list[Row]:
    if not findings.config.revision_clock_hz:
        return []
    proofs = {(proof.resource.plural, proof.resource.group): proof for proof in findings.proofs or ()}
    return [_proof(str(name), proofs.get((name.plural, name.group)), findings) for name in findings.watched_names]


def _proof(name: str, proof: Proof | None, findings: Findings) -> Row:
    if proof is None:
        return Row(name, "not checked")
    if isinstance(proof.polled, Trouble):
        loss = f"whether the revision clock is good for {name} is not known"
        return Row(name, "failed", proof.polled.sentence, loss=loss)
    first = findings.clock_kind
    if proof.polled == first:
        return Row(name, "ok", f"its revisions and those of {first} are one sequence: one revision clock serves both")
    if proof.polled != proof.resource:
        return Row(
            name,
            "note",
            f"its revisions are not those of {first} but those of {proof.polled}, which are polled instead: they have "
            "a watch cache of their own, and while that lags, polls wait and say less",
        )
    return Row(
        name,
        "note",
        f"its revisions are those of no quiet kind: its revision clock polls {name} itself and so waits for the very "
        "watch cache that it should show",
    )
