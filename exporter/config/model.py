"""The checked configuration that the daemon runs with."""

from pathlib import Path
from typing import Literal

import msgspec

from exporter.config.names import ListenAddress, ResourceName
from exporter.config.shard import Shard
from exporter.vocabulary import HistogramFormat


class ConfigError(Exception):
    """One sentence for the user: what was said, where, and what would be right."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting, valid by itself and together with the others. The table in settings.py explains each one."""

    kubeconfig: Path | None
    context: str | None
    apiservers: tuple[str, ...]  # https://host:port, always with the port
    discover_apiservers: bool
    tls_server_name: str | None
    allow_insecure_token: bool
    apiserver_metrics: Literal["auto", "on", "off"]
    prometheus_url: str | None

    resources: tuple[ResourceName, ...]
    custom_resources: tuple[str, ...]  # globs for plural.group
    custom_resources_max: int
    namespace: str | None
    shard: Shard
    annotation: str | None
    annotation_clock_error_seconds: float

    slo_threshold_seconds: float
    slo_objective_ratio: float
    slo_window_seconds: float

    pod_startup: bool

    revision_clock_hz: float
    cache_clock_hz: float
    clock_max_requests_hz: float
    clock_drift_ppm: float

    canary_interval_seconds: float
    canary_pod: str | None  # name or namespace/name
    canary_node: str | None
    canary_custom_resource: str | None  # name or namespace/name

    listen_addresses: tuple[ListenAddress, ...]
    auth_filter: bool
    web_config_file: Path | None
    metrics_histograms: HistogramFormat
    web_max_connections: int
    web_max_requests: int
    web_no_object_names: bool
    web_peers: tuple[str, ...]
    audit_files: tuple[Path, ...]
    audit_listen_addresses: tuple[ListenAddress, ...]
    audit_web_config_file: Path | None
    audit_user_names: Literal["none", "hashed", "plain"]
    log_level: Literal["debug", "info", "warn", "error"]
    log_format: Literal["logfmt", "json"]

    def __repr__(self) -> str:
        """Nothing of it: the URL of Prometheus may have a password."""
        return "Config(...)"

    def watches(self, group: str, plural: str) -> bool:
        """Whether this kind is named as one to watch, in whatever version."""
        return any((name.group, name.plural) == (group, plural) for name in self.resources)
