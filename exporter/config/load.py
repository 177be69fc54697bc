"""Combines all sources into one valid configuration.

For each setting, flags win over the environment, the environment over the file, and the file over the defaults: a list
replaces a list. Every refusal is a ConfigError that names the place of the value.
"""

from collections.abc import Container, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from exporter.config.model import Config, ConfigError
from exporter.config.names import ResourceName
from exporter.config.settings import BY_NAME, SETTINGS
from exporter.config.sources import Given, read_environment, read_file
from exporter.wording.quoting import quoted

if TYPE_CHECKING:
    from exporter.config.http_config import HTTPConfig


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A valid configuration, the settings of single commands, and warnings for the user."""

    config: Config
    scenario: str | None
    duration_seconds: float
    url: str | None
    http_config: "HTTPConfig | None"
    output: str
    is_agreed: bool
    warnings: tuple[str, ...]


def load(
    flags: Mapping[str, Given], environ: Mapping[str, str], unread: Container[str] = (), command: str = "run"
) -> Loaded:
    """Settle every setting for a command; raises ConfigError. Files of the settings in `unread` are not checked.

    Files named in the settings are read, but no connection is made and no credentials are used.
    """
    in_environment, warnings = read_environment(environ)
    given = {**in_environment, **flags}
    config_file = parsed_setting("config.file", given)
    if config_file is not None:
        given = {**read_file(config_file), **given}
    values: dict[str, Any] = {
        setting.name: Path(given[setting.name].texts[-1])
        if setting.name in unread and setting.name in given
        else parsed_setting(setting.name, given, command)
        for setting in SETTINGS
    }
    _Agreement(given, values).check()
    if values["canary.interval"] and values["canary.custom-resource"]:
        values["resource"] = _with_canaries(values["resource"])
    by_field = {setting.field: values[setting.name] for setting in SETTINGS}
    return Loaded(
        config=Config(**{field: by_field[field] for field in Config.__struct_fields__}),
        scenario=by_field["scenario"],
        duration_seconds=by_field["duration_seconds"],
        url=by_field["url"],
        http_config=by_field["http_config"],
        output=by_field["output"],
        is_agreed=by_field["is_agreed"],
        warnings=(*warnings, *_idle_canaries(given, values), *_insecure_token(given, values)),
    )


def _with_canaries(resources: tuple[ResourceName, ...]) -> tuple[ResourceName, ...]:
    """A canary of our own kind is awaited on the watch of that kind."""
    return resources if any(map(CANARIES.is_same_kind, resources)) else (*resources, CANARIES)


def _idle_canaries(given: Mapping[str, Given], values: Mapping[str, Any]) -> list[str]:
    """Warnings about canary objects while no canary is written."""
    if values["canary.interval"]:
        return []
    named = [setting for setting in CANARY_KINDS if values[setting] is not None]
    return [f"{given[setting].where}: has no effect without --canary.interval" for setting in named]


def _insecure_token(given: Mapping[str, Given], values: Mapping[str, Any]) -> list[str]:
    """A warning about a token that others can read."""
    if not values["allow-insecure-token"]:
        return []
    where = given["allow-insecure-token"].where
    return [f"{where}: the credentials' token is also sent to http:// addresses, where others can read it"]


def parsed_setting(name: str, given: Mapping[str, Given], command: str = "run") -> Any:
    """Value of a setting, or its default: a tuple if it is repeatable, None if there is none. Raises ConfigError."""
    setting = BY_NAME[name]
    said = given.get(name) or Given(setting.default_of(command), setting.flag)
    texts, where = said.texts, said.where
    values = []
    for text in texts:
        try:
            values.append(setting.parse_of(command)(text))
        except ValueError as error:
            raise ConfigError(f"{where}: {quoted(text)} {error}") from None
    if setting.repeatable:
        return tuple(values)
    return values[0] if values else None


CANARIES = ResourceName("canaries", "watchslo.dev")
CANARY_KINDS = {
    "canary.pod": ResourceName("pods"),
    "canary.node": ResourceName("nodes"),
    "canary.custom-resource": CANARIES,
}


class _Agreement:
    """Checks of valid values against each other."""

    def __init__(self, given: Mapping[str, Given], values: Mapping[str, Any]) -> None:
        self._given = given
        self._values = values

    def check(self) -> None:
        """Raise ConfigError for the first pair of values that do not fit together."""
        self._refuse_the_same_twice()
        self._refuse_one_kind_twice()
        self._refuse_nothing_to_watch()
        self._refuse_list_beside_discovery()
        self._refuse_server_name_without_tls()
        self._refuse_two_sources_of_server_metrics()
        self._refuse_audit_webhooks_without_tls()
        self._refuse_canaries_that_nobody_awaits()
        self._refuse_starts_of_pods_that_are_not_watched()
        self._refuse_connections_that_requests_take_all()
        self._refuse_more_polls_than_allowed("revision-clock.hz")
        self._refuse_more_polls_than_allowed("cache-clock.hz")

    def _where(self, name: str) -> str:
        return self._given[name].where if name in self._given else f"{BY_NAME[name].flag} (default)"

    def _refuse_the_same_twice(self) -> None:
        for setting in SETTINGS:
            for one, other in combinations(self._values[setting.name] if setting.repeatable else (), 2):
                if one == other:
                    raise ConfigError(f"{self._where(setting.name)}: {quoted(str(one))} is given twice")

    def _refuse_one_kind_twice(self) -> None:
        for one, other in combinations(self._values["resource"], 2):
            if one.is_same_kind(other):
                kinds = f"{quoted(str(one))} and {quoted(str(other))}"
                raise ConfigError(f"{self._where('resource')}: {kinds} are the same kind")

    def _refuse_nothing_to_watch(self) -> None:
        if not self._values["resource"] and not self._values["custom-resources"]:
            raise ConfigError(
                f"{self._where('resource')}: there is nothing to watch: name it here or with --custom-resources"
            )

    def _refuse_list_beside_discovery(self) -> None:
        if self._values["apiserver"] and self._values["apiserver.discover"]:
            listed, discovered = self._where("apiserver"), self._where("apiserver.discover")
            raise ConfigError(f"{listed} and {discovered} exclude each other: list the apiservers or discover them")

    def _refuse_server_name_without_tls(self) -> None:
        for url in self._values["apiserver"] if self._values["tls-server-name"] else ():
            if url.startswith("http:"):
                where = self._where("tls-server-name")
                raise ConfigError(f"{where}: there is no TLS certificate to verify at {quoted(url)}: use https there")

    def _refuse_two_sources_of_server_metrics(self) -> None:
        if self._values["prometheus.url"] is not None and self._values["apiserver.metrics"] == "on":
            where, other = self._where("prometheus.url"), self._where("apiserver.metrics")
            raise ConfigError(f"{where}: apiservers are not asked then: leave out {other}")

    def _refuse_audit_webhooks_without_tls(self) -> None:
        if self._values["audit.listen-address"] and self._values["audit.web-config.file"] is None:
            where = self._where("audit.listen-address")
            raise ConfigError(f"{where}: whoever reaches it could forge events: add --audit.web-config.file")

    def _refuse_canaries_that_nobody_awaits(self) -> None:
        if not self._values["canary.interval"]:
            return
        for setting in ("canary.pod", "canary.node"):
            if self._values[setting] is not None:
                self._refuse_without(CANARY_KINDS[setting], setting)
        for setting in ("canary.pod", "canary.custom-resource"):
            namespace, _, _ = (self._values[setting] or "").rpartition("/")
            if namespace and self._values["namespace"] not in {None, namespace}:
                raise ConfigError(
                    f"{self._where(setting)}: {quoted(self._values[setting])} is outside the watched namespace "
                    f"{quoted(self._values['namespace'])} that is watched"
                )

    def _refuse_starts_of_pods_that_are_not_watched(self) -> None:
        if self._values["pod-startup"]:
            self._refuse_without(ResourceName("pods"), "pod-startup")

    def _refuse_without(self, kind: ResourceName, setting: str) -> None:
        """The setting is about a kind that has to be watched."""
        if not any(map(kind.is_same_kind, self._values["resource"])):
            raise ConfigError(f"{self._where(setting)}: {kind} are not watched: add --resource {kind}")

    def _refuse_connections_that_requests_take_all(self) -> None:
        connections, requests = self._values["web.max-connections"], self._values["web.max-requests"]
        if requests >= connections:
            limit = f"the {connections} of {self._where('web.max-connections')}"
            where = self._where("web.max-requests")
            raise ConfigError(
                f"{where}: {requests} concurrent requests leave no connection for a probe: {limit} are all"
            )

    def _refuse_more_polls_than_allowed(self, clock: str) -> None:
        polls_hz, most_hz = self._values[clock], self._values["clock.max-requests"]
        if polls_hz > most_hz:
            limit = f"the {most_hz:g} of {self._where('clock.max-requests')}"
            raise ConfigError(f"{self._where(clock)}: {polls_hz:g} polls per second are more than {limit}")
