"""The one table of all settings.

Flags, environment, file, `--help` and the reference are all derived from it, so that they cannot differ.
It does not know where values come from, nor how they are checked against each other.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import msgspec

from exporter.config import parsers
from exporter.config.names import ListenAddress, ResourceName
from exporter.config.shard import Shard
from exporter.vocabulary import HISTOGRAM_FORMATS

_RUN = frozenset({"run"})
_SIMULATED = frozenset({"demo"})
_CLUSTER = _RUN | {"check", "measure", "why", "top"}
_MEASURING = _CLUSTER | _SIMULATED
_JUDGING = _RUN | {"measure", "why", "top"}
_LIVE = _JUDGING | _SIMULATED
_SERVED = _RUN | _SIMULATED | {"healthcheck"}
_LISTING = frozenset({"lists"})
_OFFLINE = frozenset({"audit"})
_EVERYWHERE = _MEASURING | _LISTING | {"healthcheck"}


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting. Defaults are text too, and are parsed like what a user writes."""

    name: str
    """The flag without its dashes and the key in the file; a dot is a level there."""
    field: str
    """The field of Config or of Loaded that it fills."""
    parse: Callable[[str], Any]
    """From text to a value; raises ValueError with the rest of a sentence that begins with the quoted text."""
    help: str
    section: str
    metavar: str = ""
    default: tuple[str, ...] = ()
    repeatable: bool = False
    commands: frozenset[str] = _MEASURING
    """The commands that have the flag. Environment and file may always have it."""
    in_file: bool = True
    default_of_demo: tuple[str, ...] = ()
    """What that command has instead of the default."""
    parse_of_audit: Callable[[str], Any] | None = None
    """What that command has instead of `parse`."""

    @property
    def flag(self) -> str:
        """As it is written on the command line."""
        return f"--{self.name}"

    def default_of(self, command: str) -> tuple[str, ...]:
        """The default of a command."""
        return (command == "demo" and self.default_of_demo) or self.default

    def parse_of(self, command: str) -> Callable[[str], Any]:
        """The parser of a command."""
        return (self.parse_of_audit if command == "audit" else None) or self.parse

    @property
    def variable(self) -> str:
        """As it is written in the environment."""
        return "WATCHSLO_" + self.name.upper().replace(".", "_").replace("-", "_")

    def texts_of(self, text: str) -> tuple[str, ...]:
        """The texts of one word: a list has commas. An empty list stays one text, for an error message to quote it."""
        return (self.repeatable and parsers.listed(text)) or (text,)

    @property
    def is_switch(self) -> bool:
        """Whether the flag stands alone, without a value."""
        return self.parse is parsers.switch


SETTINGS: Final = (
    Setting(
        name="config.file",
        field="config_file",
        parse=parsers.config_file,
        metavar="FILE",
        help="YAML file with any of these settings",
        section="Configuration",
        commands=_EVERYWHERE,
        in_file=False,
    ),
    Setting(
        name="kubeconfig",
        field="kubeconfig",
        parse=parsers.readable_yaml,
        metavar="FILE",
        help="file with the credentials; default: the pod's service account, then $KUBECONFIG, then ~/.kube/config",
        section="Apiserver",
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="context",
        field="context",
        parse=parsers.word,
        metavar="NAME",
        help="context of the kubeconfig to use instead of its current context",
        section="Apiserver",
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="apiserver",
        field="apiservers",
        parse=parsers.apiserver_url,
        metavar="URL",
        help="watch this endpoint instead of the server in the credentials; series have apiserver=host:port",
        section="Apiserver",
        repeatable=True,
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="apiserver.discover",
        field="discover_apiservers",
        parse=parsers.switch,
        default=("false",),
        help="watch every endpoint of the Service default/kubernetes, at most 64; while none answers, the server in "
        "the credentials",
        section="Apiserver",
        commands=_CLUSTER,
    ),
    Setting(
        name="tls-server-name",
        field="tls_server_name",
        parse=parsers.server_name,
        metavar="NAME",
        help="name to verify in the server's certificate, when the apiserver is given as an address",
        section="Apiserver",
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="allow-insecure-token",
        field="allow_insecure_token",
        parse=parsers.switch,
        default=("false",),
        help="send the credentials' token also to addresses without TLS, where others can read it",
        section="Apiserver",
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="apiserver.metrics",
        field="apiserver_metrics",
        parse=parsers.one_of("auto", "on", "off"),
        metavar="MODE",
        default=("auto",),
        help="read each apiserver's own metrics to confirm causes, and whose requests it executes while something is "
        "wrong: auto where permitted, on warns if not, off never",
        section="Apiserver",
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="prometheus.url",
        field="prometheus_url",
        parse=parsers.http_url,
        metavar="URL",
        help="read them from this Prometheus instead, which scrapes the apiservers with instance=host:port",
        section="Apiserver",
        commands=_CLUSTER,
    ),
    Setting(
        name="resource",
        field="resources",
        parse=ResourceName.parse,
        metavar="RESOURCE",
        default=("pods", "nodes"),
        help="resource to watch, as plural, plural.group or plural.version.group",
        section="Watches",
        repeatable=True,
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="custom-resources",
        field="custom_resources",
        parse=parsers.custom_resource_glob,
        metavar="GLOB",
        help="watch every custom resource whose plural.group matches, such as *.example.com, as CRDs come and go",
        section="Watches",
        repeatable=True,
        commands=_CLUSTER,
    ),
    Setting(
        name="custom-resources.max",
        field="custom_resources_max",
        parse=parsers.count,
        metavar="COUNT",
        default=("20",),
        help="maximum number of custom resources watched by pattern, including those being removed; oldest first",
        section="Watches",
        commands=_CLUSTER,
    ),
    Setting(
        name="namespace",
        field="namespace",
        parse=parsers.namespace,
        metavar="NAMESPACE",
        help="watch namespaced resources in this namespace only",
        section="Watches",
        commands=_CLUSTER | _LISTING,
    ),
    Setting(
        name="pod-startup",
        field="pod_startup",
        parse=parsers.switch,
        default=("false",),
        help="watch pods whole, and Events about their images: how long each stage of a pod's start takes",
        section="Watches",
        commands=_CLUSTER,
    ),
    Setting(
        name="shard",
        field="shard",
        parse=Shard.parse,
        metavar="INDEX/COUNT",
        default=("0/1",),
        help="watch only this exporter's share when several exporters share the watches; auto/COUNT in a StatefulSet",
        section="Watches",
        commands=_JUDGING,
    ),
    Setting(
        name="annotation",
        field="annotation",
        parse=parsers.annotation_key,
        metavar="KEY",
        help="annotation where your own writer puts its time: RFC 3339 with a fraction, or Unix s, ms, us or ns",
        section="Evidence",
        commands=_JUDGING,
    ),
    Setting(
        name="annotation.clock-error",
        field="annotation_clock_error_seconds",
        parse=parsers.seconds_or_zero,
        metavar="DURATION",
        default=("0.1",),
        help="maximum difference between this host's clock and the clocks that write annotations and Leases",
        section="Evidence",
        commands=_JUDGING,
    ),
    Setting(
        name="revision-clock.hz",
        field="revision_clock_hz",
        parse=parsers.polls_hz,
        metavar="HZ",
        default=("5",),
        help="polls per second of the store's revision, per apiserver and store; 0 turns them off",
        section="Evidence",
    ),
    Setting(
        name="cache-clock.hz",
        field="cache_clock_hz",
        parse=parsers.polls_hz,
        metavar="HZ",
        default=("5",),
        help="polls per second of the watch cache's revision, per apiserver and resource; 0 turns them off",
        section="Evidence",
        commands=_LIVE,
    ),
    Setting(
        name="clock.max-requests",
        field="clock_max_requests_hz",
        parse=parsers.some_polls_hz,
        metavar="HZ",
        default=("50",),
        help="maximum requests per second to each apiserver for all clocks and the checks that they fit a resource",
        section="Evidence",
    ),
    Setting(
        name="clock.drift-ppm",
        field="clock_drift_ppm",
        parse=parsers.parts_per_million,
        metavar="PPM",
        default=("500",),
        help="maximum drift of an apiserver's clock against this host's: bounds of its offset widen with age by it",
        section="Evidence",
    ),
    Setting(
        name="slo.threshold",
        field="slo_threshold_seconds",
        parse=parsers.some_seconds,
        metavar="DURATION",
        default=("1.0",),
        help="an event that takes longer from commit to arrival is late",
        section="Objective",
    ),
    Setting(
        name="slo.objective",
        field="slo_objective_ratio",
        parse=parsers.ratio,
        metavar="RATIO",
        default=("0.99",),
        help="share of events that has to be on time",
        section="Objective",
    ),
    Setting(
        name="slo.window",
        field="slo_window_seconds",
        parse=parsers.window_seconds,
        metavar="DURATION",
        default=("60",),
        help="length of the rolling window for the state of the SLO",
        section="Objective",
        commands=frozenset({"run", "check", "demo"}),
    ),
    Setting(
        name="canary.interval",
        field="canary_interval_seconds",
        parse=parsers.write_period_seconds,
        metavar="DURATION",
        default=("0",),
        help="time between two writes to a canary object, awaited on the watch; 0 turns the canary off",
        section="Canary",
        commands=_CLUSTER,
    ),
    Setting(
        name="canary.pod",
        field="canary_pod",
        parse=parsers.namespaced_name,
        metavar="NAME",
        help="pod to write to, as name or namespace/name; in a cluster, by default the exporter's own if it is watched",
        section="Canary",
        commands=_CLUSTER,
    ),
    Setting(
        name="canary.node",
        field="canary_node",
        parse=parsers.object_name,
        metavar="NAME",
        help="node to write to",
        section="Canary",
        commands=_CLUSTER,
    ),
    Setting(
        name="canary.custom-resource",
        field="canary_custom_resource",
        parse=parsers.namespaced_name,
        metavar="NAME",
        help="existing object of canaries.watchslo.dev to write to, as name or namespace/name; it is also watched",
        section="Canary",
        commands=_CLUSTER,
    ),
    Setting(
        name="web.listen-address",
        field="listen_addresses",
        parse=ListenAddress.parse,
        metavar="ADDRESS",
        default=(":9985",),
        default_of_demo=("127.0.0.1:9985",),
        help="address to serve metrics and the page on, as host:port, :port or [ipv6]:port",
        section="HTTP",
        repeatable=True,
        commands=_SERVED,
    ),
    Setting(
        name="web.auth-filter",
        field="auth_filter",
        parse=parsers.switch,
        default=("false",),
        help="require a bearer token of a cluster user who may get /metrics, or / for all other paths; not for probes",
        section="HTTP",
        commands=_RUN | {"check"},
    ),
    Setting(
        name="web.config.file",
        field="web_config_file",
        parse=parsers.web_config_file,
        metavar="FILE",
        help="TLS, passwords, headers and limits of its own HTTP server, in the format of Prometheus' exporter-toolkit",
        section="HTTP",
        commands=_SERVED,
    ),
    Setting(
        name="metrics.histograms",
        field="metrics_histograms",
        parse=parsers.one_of(*HISTOGRAM_FORMATS),
        metavar="FORMAT",
        default=("classic",),
        help="histograms for scrapes in protobuf: native, both, or classic (no protobuf then); text has classic ones",
        section="HTTP",
        commands=_RUN | _SIMULATED,
    ),
    Setting(
        name="web.max-connections",
        field="web_max_connections",
        parse=parsers.count,
        metavar="COUNT",
        default=("500",),
        help="maximum open connections, at most half of the file descriptors; one more closes the longest silent one",
        section="HTTP",
        commands=_RUN | _SIMULATED,
    ),
    Setting(
        name="web.max-requests",
        field="web_max_requests",
        parse=parsers.count,
        metavar="COUNT",
        default=("40",),
        help="maximum requests answered at once, without probes; more get 503",
        section="HTTP",
        commands=_RUN | _SIMULATED,
    ),
    Setting(
        name="web.no-object-names",
        field="web_no_object_names",
        parse=parsers.switch,
        default=("false",),
        help="never read names of objects; else the page and the API name the newest late ones, up to 20 per stream",
        section="HTTP",
        commands=_RUN | _SIMULATED,
    ),
    Setting(
        name="web.peer",
        field="web_peers",
        parse=parsers.page_url,
        metavar="URL",
        help="page of another replica or shard, to link from the page",
        section="HTTP",
        repeatable=True,
        commands=_RUN | _SIMULATED,
    ),
    Setting(
        name="audit.file",
        field="audit_files",
        parse=parsers.path,
        metavar="FILE",
        help="audit log of an apiserver to follow from now on: who asks for how much",
        section="Audit log",
        repeatable=True,
        commands=_RUN,
    ),
    Setting(
        name="audit.listen-address",
        field="audit_listen_addresses",
        parse=ListenAddress.parse,
        metavar="ADDRESS",
        help="address to take apiservers' audit webhooks on, as host:port, :port or [ipv6]:port",
        section="Audit log",
        repeatable=True,
        commands=_RUN,
    ),
    Setting(
        name="audit.web-config.file",
        field="audit_web_config_file",
        parse=parsers.audit_web_config_file,
        metavar="FILE",
        help="TLS for --audit.listen-address, in the format of --web.config.file; it must ask for client certificates",
        section="Audit log",
        commands=_RUN,
    ),
    Setting(
        name="audit.user-names",
        field="audit_user_names",
        parse=parsers.one_of("none", "hashed", "plain"),
        metavar="HOW",
        default=("none",),
        help="whether metrics of the audit log name users: none, hashed (who knows a name recognises it) or plain",
        section="Audit log",
        commands=_RUN,
    ),
    Setting(
        name="log.level",
        field="log_level",
        parse=parsers.one_of("debug", "info", "warn", "error"),
        metavar="LEVEL",
        default=("info",),
        help="minimum severity of log messages: debug, info, warn or error",
        section="Log",
        commands=_LIVE,
    ),
    Setting(
        name="log.format",
        field="log_format",
        parse=parsers.one_of("logfmt", "json"),
        metavar="FORMAT",
        default=("logfmt",),
        help="format of log messages: logfmt or json",
        section="Log",
        commands=_LIVE,
    ),
    Setting(
        name="scenario",
        field="scenario",
        parse=parsers.word,
        metavar="NAME",
        help="trouble that the simulated apiserver has",
        section="This command",
        commands=_SIMULATED,
    ),
    Setting(
        name="duration",
        field="duration_seconds",
        parse=parsers.some_seconds,
        metavar="DURATION",
        default=("60",),
        help="how long to measure; of lists, how long to watch",
        section="This command",
        commands=_LISTING | {"measure", "why"},
    ),
    Setting(
        name="url",
        field="url",
        parse=parsers.exporter_url,
        metavar="URL",
        help="ask a running watchslo instead of measuring, such as http://127.0.0.1:9985",
        section="This command",
        commands=frozenset({"why", "top"}),
        in_file=False,
    ),
    Setting(
        name="http.config.file",
        field="http_config",
        parse=parsers.http_config_file,
        metavar="FILE",
        help="passwords, tokens and TLS for --url, in the format of Prometheus' http_config (as promtool has it)",
        section="This command",
        commands=frozenset({"why", "top"}),
        in_file=False,
    ),
    Setting(
        name="yes",
        field="is_agreed",
        parse=parsers.switch,
        default=("false",),
        help="load all objects, as announced, without asking",
        section="This command",
        commands=_LISTING,
        in_file=False,
    ),
    Setting(
        name="since",
        field="since",
        parse=parsers.time,
        metavar="TIME",
        help="only events from this time on, such as 2026-11-29T02:00:00Z",
        section="This command",
        commands=_OFFLINE,
        in_file=False,
    ),
    Setting(
        name="until",
        field="until",
        parse=parsers.time,
        metavar="TIME",
        help="only events before this time",
        section="This command",
        commands=_OFFLINE,
        in_file=False,
    ),
    Setting(
        name="output",
        field="output",
        parse=parsers.one_of("table", "text", "json"),
        parse_of_audit=parsers.one_of("table", "json", "html"),
        metavar="FORMAT",
        default=("table",),
        help="output format: table or text for people, json for programs; of audit also html, a page",
        section="This command",
        commands=_OFFLINE | _LISTING | {"measure", "version", "why"},
    ),
)

BY_NAME: Final = MappingProxyType({setting.name: setting for setting in SETTINGS})
