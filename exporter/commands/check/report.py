"""Explains findings to a person: the table and the sentence below it. It sends no requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.commands.check import access
from exporter.commands.check.findings import NotServed, Unknown
from exporter.commands.check.table import GOOD, Row, Section, table
from exporter.commands.check.timing import clock_rows, round_trip_row
from exporter.commands.text_table import folded
from exporter.service.canary import too_few_alone

if TYPE_CHECKING:
    from exporter.commands.check.findings import CanaryTrial, Findings, Found, Greeting, PolledKind, UserName
    from exporter.commands.check.table import Outcome


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
        losses.append("the apiserver was too slow to check the rest")
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
    where = f"in namespace {config.namespace}" if config.namespace else "in all namespaces"
    rows = [
        Row("credentials", "ok", findings.credentials),
        _watched(findings),
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
        rows.append(Row("revision clock", "note", "off: without it, no event is certainly on time or late"))
    if (few := too_few_alone(config, config.slo_window_seconds)) is not None:
        rows.append(Row("canary", "note", few))
    return rows


def _watched(findings: Findings) -> Row:
    url = findings.server.url
    if findings.unreached is not None:
        instead = "none of those that --apiserver.discover finds answers, so this one is watched instead"
        return Row("apiserver", "note", f"{url}, named by the credentials: {instead} ({findings.unreached})")
    named = _namer(findings) if findings.server.is_one_apiserver else "named by the credentials"
    return Row("apiserver", "ok", f"{url}, {named}")


def _server(findings: Findings) -> list[Row]:
    greeting = findings.greeting
    unchecked = [Row(check, "not checked") for check in ("version", "address", "apiservers", "proxies", "round trip")]
    if greeting is None:
        return [Row("connection", "not checked"), *unchecked]
    if isinstance(greeting, Unknown):
        loss = f"no answer from {findings.server.name}"
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
    answered = f"first response after {greeting.seconds * 1000:.0f} ms, including the connection setup"
    if greeting.is_certificate_verified:
        return Row("connection", "ok", f"TLS, certificate verified; {answered}")
    what = "no TLS" if greeting.is_certificate_verified is None else "TLS, but the certificate is not verified"
    return Row("connection", "note", f"{what}: anyone on the network path can read and change everything; {answered}")


def _version(greeting: Greeting) -> Row:
    if isinstance(greeting.version, Unknown):
        return Row("version", "note", f"not known: {greeting.version.sentence}")
    return Row("version", "ok", greeting.version)


def _address(findings: Findings) -> Row:
    if findings.server.is_one_apiserver and (findings.certificates or 1) > 1:
        return Row(
            "address",
            "note",
            f"{_namer(findings)} as one apiserver, but it shows {findings.certificates} different certificates: it "
            "is a load balancer, and stages would be wrong until this is detected; use each apiserver's own address",
        )
    if findings.server.is_one_apiserver:
        return Row("address", "ok", f"one apiserver, {_namer(findings)}: its connections share what they learn")
    return Row(
        "address",
        "note",
        "may be a load balancer for several apiservers: each connection has to learn its clock's offset before its "
        "Date is evidence; neither stages nor timestamps in objects can be used; --apiserver URL names one",
    )


def _apiservers(findings: Findings) -> Row:
    return Row("apiservers", *_count(findings))


_ONE_BUT_WHICH = "1, but only with --apiserver URL is it certain that it is the one that answers"


def _count(findings: Findings) -> tuple[Outcome, str]:
    count, identities = findings.apiservers, findings.identities
    named = len(findings.config.apiservers) or int(findings.server.is_one_apiserver)
    if count is None:
        untold = "their number is not known: timestamps in objects do not narrow intervals"
        return ("not checked", "") if findings.endpoints is None else ("note", untold)
    addresses = f"{count} address{'' if count == 1 else 'es'}"
    if identities is not None and identities > count:
        said = f"{identities} apiservers renew an identity Lease, but the cluster lists {addresses}"
        return "note", f"{said}: one is a load balancer; use each apiserver's own address"
    if (findings.config.discover_apiservers and findings.unreached is None) or count == named:
        whose = "whose clock's offset is" if count == 1 else "whose clocks' offsets are"
        return "ok", f"{count}, {whose} learned: timestamps in objects narrow intervals"
    if named > count:
        said = f"{named} are named with --apiserver, but the cluster lists {addresses}"
        return (
            "note",
            f"{said}: it is not known which of them writes an object's timestamps, so these do not narrow intervals",
        )
    unknown = "any of them may write an object's timestamps, so these do not narrow intervals"
    return "note", f"{count}, and {unknown}" if count > 1 else _ONE_BUT_WHICH


def _proxies(greeting: Greeting) -> Row:
    if not greeting.on_the_way:
        return Row("proxies", "ok", "none seen")
    seen = ", ".join(greeting.on_the_way)
    return Row("proxies", "note", f"{seen}: their latency is included in the measurement")


def _credentials(findings: Findings) -> Row:
    user = findings.user
    if user is None:
        return Row("identity", "not checked")
    if isinstance(user, Unknown):
        loss = f"{findings.server.name} did not accept the credentials: {user.sentence}"
        return Row("identity", "failed", user.sentence, loss=loss)
    return _known_as(user)


def _known_as(user: UserName) -> Row:
    if user.name is None:
        return Row("identity", "ok", "accepted; the apiserver does not report the user name")
    if user.name == "system:anonymous":
        return Row("identity", "note", "system:anonymous: no credentials were given, or the server ignores them")
    return Row("identity", "ok", user.name)


def _resources(findings: Findings) -> list[Row]:
    if findings.found is None:
        rows = [Row(str(name), "not checked") for name in findings.watched_names]
    else:
        rows = [_found(found, findings.config.namespace) for found in findings.found]
    if findings.config.custom_resources:
        rows.append(_custom_resources(findings))
    if findings.config.namespace is not None:
        rows.append(_namespace(findings.config.namespace, findings.namespace))
    return [*rows, *map(_canary, findings.objects or ())]


def _namespace(name: str, is_there: bool | Unknown | None) -> Row:  # noqa: FBT001 it is what was found
    check = f"namespace {name}"
    if is_there is None:
        return Row(check, "not checked")
    if isinstance(is_there, Unknown):
        return Row(check, "note", f"not known whether it exists: {is_there.sentence}")
    if not is_there:
        return Row(
            check,
            "missing",
            "it does not exist",
            loss=f"namespace {name} does not exist, so nothing in it can be watched",
        )
    return Row(check, "ok", "it exists")


def _canary(trial: CanaryTrial) -> Row:
    check = f"canary {trial.what}"
    if trial.failure is None:
        return Row(check, "ok", "a dry-run write succeeded")
    if not trial.is_there:
        return Row(
            check,
            "missing",
            trial.failure.sentence,
            loss=f"{trial.what} does not exist, so the canary cannot write to it",
        )
    return Row(check, "note", f"the dry-run write failed: {trial.failure.sentence}")


def _found(found: Found, namespace: str | None) -> Row:
    name, resource = str(found.name), found.resource
    if isinstance(resource, NotServed):
        return Row(name, "missing", resource.sentence, loss=f"{name} is not served and cannot be watched")
    if isinstance(resource, Unknown):
        return Row(name, "failed", resource.sentence, loss=f"{name} cannot be found: {resource.sentence}")
    version = f"{resource.group}/{resource.version}" if resource.group else resource.version
    if resource.is_namespaced:
        return Row(name, "ok", f"{version}, namespaced")
    return Row(name, "ok", f"{version}, cluster scope{': --namespace does not apply' if namespace else ''}")


def _custom_resources(findings: Findings) -> Row:
    check, custom = " ".join(findings.config.custom_resources), findings.custom
    if custom is None:
        return Row(check, "not checked")
    if isinstance(custom, Unknown):
        return Row(check, "failed", custom.sentence, loss="custom resources cannot be followed")
    count = len(custom.watched)
    matching = (
        [f"{count} custom resource{'s match' if count > 1 else ' matches'} now; more may be added"] if count else []
    )
    notes = list(custom.unmatched)
    if custom.left_out:
        most = findings.config.custom_resources_max
        notes.insert(0, f"{custom.left_out} more match but are left out by --custom-resources.max {most}")
    return Row(check, "note" if notes else "ok", "; ".join([*matching, *notes]))


def _stores(findings: Findings) -> list[Row]:
    if not findings.config.revision_clock_hz:
        return []
    polled = {(kind.resource.plural, kind.resource.group): kind for kind in findings.polled_kinds or ()}
    return [_polled(str(name), polled.get((name.plural, name.group)), findings) for name in findings.watched_names]


def _polled(name: str, kind: PolledKind | None, findings: Findings) -> Row:
    if kind is None:
        return Row(name, "not checked")
    if isinstance(kind.polled, Unknown):
        loss = f"it is not known whether the revision clock can date {name}"
        return Row(name, "failed", kind.polled.sentence, loss=loss)
    first = findings.clock_kind
    if kind.polled == first:
        return Row(name, "ok", f"it shares one revision sequence with {first}: one revision clock dates both")
    if kind.polled != kind.resource:
        return Row(
            name,
            "note",
            f"it shares no revision sequence with {first} but one with {kind.polled}, which are polled instead: "
            "they have a watch cache of their own, and while it lags, polls wait and bounds are wider",
        )
    return Row(
        name,
        "note",
        f"it shares its revision sequence with no quiet kind: its revision clock polls {name} itself and so waits for "
        "the watch cache that it should measure",
    )
