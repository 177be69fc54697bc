import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exporter.config import (
    SETTINGS,
    Config,
    ConfigError,
    ListenAddress,
    Loaded,
    ResourceName,
    Setting,
    flag_parser,
    load,
    read_flags,
)
from exporter.config.settings import BY_NAME
from exporter.config.shard import Shard
from tests.real.certificates import CertificateAuthority
from tests.support.protected import VERIFIED

EXAMPLES = {
    "kubeconfig": "credentials.yaml",
    "context": "kind-dev",
    "apiserver": "https://127.0.0.1:6443",
    "apiserver.discover": "true",
    "allow-insecure-token": "true",
    "apiserver.metrics": "off",
    "prometheus.url": "http://user:password@127.0.0.1:9090/prometheus",
    "tls-server-name": "kubernetes",
    "resource": "deployments.v1.apps",
    "custom-resources": "*.example.com",
    "custom-resources.max": "7",
    "namespace": "monitoring",
    "shard": "1/3",
    "annotation": "example.com/written-at",
    "annotation.clock-error": "0.25",
    "revision-clock.hz": "2",
    "cache-clock.hz": "0",
    "clock.max-requests": "40",
    "clock.drift-ppm": "100",
    "slo.threshold": "0.5",
    "slo.objective": "0.999",
    "slo.window": "120",
    "canary.interval": "1",
    "canary.pod": "monitoring/canary",
    "canary.node": "node-1",
    "canary.custom-resource": "monitoring/canary",
    "web.listen-address": "[::1]:0",
    "web.config.file": "web.yaml",
    "metrics.histograms": "native",
    "web.max-connections": "600",
    "web.max-requests": "30",
    "web.no-object-names": "true",
    "web.peer": "https://watchslo-1.example.com/page",
    "pod-startup": "true",
    "audit.file": "audit.log",
    "audit.user-names": "hashed",
    "audit.listen-address": "[::1]:0",
    "audit.web-config.file": "audit.yaml",
    "log.level": "debug",
    "log.format": "json",
    "scenario": "slow-encoding",
    "web.auth-filter": "true",
    "duration": "30",
    "output": "json",
}
STRANGER = "is not a setting and is ignored"
EVERY_SETTING = pytest.mark.parametrize("setting", [s for s in SETTINGS if s.in_file], ids=lambda setting: setting.name)


NEEDS = {"audit.listen-address": ("--audit.web-config.file=audit.yaml",)}
"""What a setting cannot do without."""


@pytest.fixture(scope="session")
def web_file_with_client_certificates(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("certificates")
    authority = CertificateAuthority(folder)
    authority.issue("server")
    (folder / "ca.crt").write_bytes(authority.bundle)
    files = {key: str(folder / value) if "file" in key else value for key, value in VERIFIED.items()}
    return json.dumps({"tls_server_config": files})


@pytest.fixture(autouse=True)
def _in_a_directory_with_a_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web_file_with_client_certificates: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("credentials.yaml").write_text("kind: Config\n")
    Path("web.yaml").write_text("basic_auth_users: {}\n")
    Path("audit.yaml").write_text(web_file_with_client_certificates)


def said(
    *words: str, environ: Mapping[str, str] | None = None, file: str | None = None, flags_of: str = "run"
) -> Loaded:
    variables = dict(environ or {})
    if file is not None:
        Path("watchslo.yaml").write_text(file)
        variables["WATCHSLO_CONFIG_FILE"] = "watchslo.yaml"
    return load(read_flags(flags_of, flag_parser(flags_of, ""), words), variables)


def outcome(setting: Setting, *words: str, environ: Mapping[str, str] | None = None, file: str | None = None) -> Any:
    """The value that the setting has got; a refusal is an outcome too."""
    try:
        loaded = said(*words, *NEEDS.get(setting.name, ()), environ=environ, file=file, flags_of=min(setting.commands))
    except ConfigError as error:
        return error
    return getattr(loaded.config if hasattr(loaded.config, setting.field) else loaded, setting.field)


def as_flag(setting: Setting, text: str) -> str:
    return setting.flag if setting.is_switch else f"{setting.flag}={text}"


def nested(setting: Setting, text: str) -> str:
    inside = json.dumps(text)
    for level in reversed(setting.name.split(".")):
        inside = f"{{{level}: {inside}}}"
    return inside


@EVERY_SETTING
def test_flag_variable_and_file_say_the_same(setting: Setting) -> None:
    text = EXAMPLES[setting.name]
    by_flag = outcome(setting, as_flag(setting, text))
    assert by_flag != outcome(setting)
    assert by_flag == outcome(setting, environ={setting.variable: text})
    assert by_flag == outcome(setting, file=f"{setting.name}: '{text}'")
    assert by_flag == outcome(setting, file=nested(setting, text))


@pytest.mark.parametrize(("name", "text"), [("context", "no"), ("namespace", "0123"), ("context", "1e3")])
def test_a_bare_word_in_the_file_stays_what_it_is(name: str, text: str) -> None:
    assert outcome(BY_NAME[name], file=f"{name}: {text}") == text


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting.repeatable], ids=lambda s: s.name)
def test_a_list_is_repeated_commas_or_a_sequence(setting: Setting) -> None:
    one, two = {
        "apiserver": ("https://127.0.0.1", "https://127.0.0.2"),
        "resource": ("pods", "foos.example.com"),
        "custom-resources": ("*.example.com", "foos.*"),
        "web.listen-address": (":1", "[::1]:2"),
        "audit.file": ("one.log", "/var/log/two.log"),
        "web.peer": ("http://127.0.0.2:9985", "https://127.0.0.3:9985/page"),
        "audit.listen-address": (":1", "[::1]:2"),
    }[setting.name]
    by_flags = outcome(setting, f"{setting.flag}={one}", f"{setting.flag}={two}")
    by_variable = outcome(setting, environ={setting.variable: f" {one} ,,{two},"})
    by_file = outcome(setting, file=f"{setting.name}: ['{one}', '{two}']")
    assert by_flags == by_variable == by_file
    assert by_flags == outcome(setting, f"{setting.flag}={one},{two}")
    assert by_flags == outcome(setting, file=f"{setting.name}: '{one}, {two}'")
    added = ":443" if setting.name == "apiserver" else ""
    assert tuple(map(str, by_flags)) == (one + added, two + added)


def test_flags_win_over_the_environment_that_over_the_file_that_over_the_default() -> None:
    file, environ, flag = "slo: {window: 30}", {"WATCHSLO_SLO_WINDOW": "40"}, "--slo.window=50"
    assert said().config.slo_window_seconds == 60
    assert said(file=file).config.slo_window_seconds == 30
    assert said(file=file, environ=environ).config.slo_window_seconds == 40
    assert said(flag, file=file, environ=environ).config.slo_window_seconds == 50


DURATIONS = [setting for setting in SETTINGS if setting.metavar == "DURATION"]


@pytest.mark.parametrize("setting", DURATIONS, ids=lambda setting: setting.name)
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90s", 90.0),
        ("1m30s", 90.0),
        ("1.5m", 90.0),
        ("90000ms", 90.0),
        ("1h", 3600.0),
        ("24h", 86400.0),
        ("1d", 86400.0),
        ("10s100ms", 10.1),
    ],
)
def test_a_duration_is_written_as_prometheus_writes_it(setting: Setting, text: str, seconds: float) -> None:
    assert outcome(setting, as_flag(setting, text)) == seconds
    assert outcome(setting, environ={setting.variable: text}) == seconds
    if setting.in_file:
        assert outcome(setting, file=f"{setting.name}: {text}") == seconds


def test_every_setting_of_seconds_takes_a_duration() -> None:
    assert {setting.name for setting in SETTINGS if setting.field.endswith("_seconds")} == {s.name for s in DURATIONS}
    assert said("--slo.threshold=500ms").config.slo_threshold_seconds == 0.5


@pytest.mark.parametrize(("text", "ratio"), [("99%", 0.99), ("99.9%", 0.999), ("0.5%", 0.005), ("1e1%", 0.1)])
def test_a_ratio_is_a_percentage_too(text: str, ratio: float) -> None:
    setting = BY_NAME["slo.objective"]
    assert outcome(setting, f"--slo.objective={text}") == ratio
    assert outcome(setting, environ={setting.variable: text}) == ratio
    assert outcome(setting, file=f"slo: {{objective: {text}}}") == ratio


def test_flags_of_one_list_add_up() -> None:
    loaded = said("--resource=pods,nodes", "--resource", "leases.coordination.k8s.io")
    assert list(map(str, loaded.config.resources)) == ["pods", "nodes", "leases.coordination.k8s.io"]


def test_a_comma_separates_only_what_may_be_repeated() -> None:
    assert said(environ={"WATCHSLO_CONTEXT": "a,b"}).config.context == "a,b"


def test_a_list_replaces_a_list() -> None:
    loaded = said(
        "--resource=pods", environ={"WATCHSLO_RESOURCE": "nodes"}, file="resource: [leases.coordination.k8s.io]"
    )
    assert loaded.config.resources == (ResourceName("pods"),)


def test_a_switch_can_be_turned_off_again() -> None:
    on = {"WATCHSLO_APISERVER_DISCOVER": "true"}
    assert said("--no-apiserver.discover", environ=on).config.discover_apiservers is False
    assert said(environ=on).config.discover_apiservers is True


@pytest.mark.parametrize("value", ["", "~", "null", "''"])
def test_an_empty_value_says_nothing(value: str) -> None:
    loaded = said(environ={"WATCHSLO_CONTEXT": "", "WATCHSLO_RESOURCE": " , "}, file=f"namespace: {value}\nslo:\n")
    assert loaded.config == said().config


def test_a_file_of_comments_says_nothing() -> None:
    assert said(file="# resource: [pods]\n").config == said().config


def test_the_file_may_name_a_section_and_its_namesake() -> None:
    config = said(
        file="{annotation: a.com/at, annotation.clock-error: 0.5, custom-resources: ['*'], custom-resources.max: 3}"
    ).config
    assert (config.annotation, config.annotation_clock_error_seconds) == ("a.com/at", 0.5)
    assert (config.custom_resources, config.custom_resources_max) == (("*",), 3)


def test_resources_may_be_left_out_for_custom_ones() -> None:
    config = said(file="{resource: [], custom-resources: '*'}").config
    assert (config.resources, config.custom_resources) == ((), ("*",))


def test_the_defaults_are_those_of_the_promise() -> None:
    loaded = said()
    assert loaded.config == Config(
        kubeconfig=None,
        context=None,
        apiservers=(),
        discover_apiservers=False,
        tls_server_name=None,
        allow_insecure_token=False,
        apiserver_metrics="auto",
        prometheus_url=None,
        resources=(ResourceName("pods"), ResourceName("nodes")),
        custom_resources=(),
        custom_resources_max=20,
        namespace=None,
        shard=Shard(0, 1),
        pod_startup=False,
        annotation=None,
        annotation_clock_error_seconds=0.1,
        slo_threshold_seconds=1.0,
        slo_objective_ratio=0.99,
        slo_window_seconds=60,
        revision_clock_hz=5,
        cache_clock_hz=5,
        clock_max_requests_hz=50,
        clock_drift_ppm=500,
        canary_interval_seconds=0,
        canary_pod=None,
        canary_node=None,
        canary_custom_resource=None,
        listen_addresses=(ListenAddress("", 9985),),
        auth_filter=False,
        web_config_file=None,
        metrics_histograms="classic",
        web_max_connections=500,
        web_max_requests=40,
        web_no_object_names=False,
        web_peers=(),
        audit_files=(),
        audit_listen_addresses=(),
        audit_web_config_file=None,
        audit_user_names="none",
        log_level="info",
        log_format="logfmt",
    )
    assert (loaded.scenario, loaded.duration_seconds, loaded.output, loaded.warnings) == (None, 60, "table", ())


def test_a_prometheus_may_be_behind_a_path_and_a_password_that_nobody_sees() -> None:
    config = said("--prometheus.url=https://user:hidden@[::1]:9090/prometheus/").config
    assert config.prometheus_url == "https://user:hidden@[::1]:9090/prometheus"
    assert "hidden" not in repr(config)


def test_only_the_demo_listens_on_loopback_unless_told_otherwise() -> None:
    def of_demo(**variables: str) -> tuple[ListenAddress, ...]:
        return load({}, variables, command="demo").config.listen_addresses

    assert of_demo() == (ListenAddress("127.0.0.1", 9985),)
    assert of_demo(WATCHSLO_WEB_LISTEN_ADDRESS=":9985") == (ListenAddress("", 9985),)


def test_requests_leave_a_connection_to_probes() -> None:
    with pytest.raises(ConfigError) as refused:
        said("--web.max-requests=40", "--web.max-connections=40")
    assert str(refused.value).startswith("--web.max-requests: 40 concurrent requests leave no connection for a probe: ")


def test_audit_webhooks_are_not_taken_from_whoever_has_no_certificate(web_file_with_client_certificates: str) -> None:
    config = json.loads(web_file_with_client_certificates)
    del config["tls_server_config"]["client_ca_file"], config["tls_server_config"]["client_auth_type"]
    Path("audit.yaml").write_text(json.dumps(config))
    with pytest.raises(ConfigError) as refused:
        said("--audit.listen-address=:9986", "--audit.web-config.file=audit.yaml")
    assert "does not ask for client certificates" in str(refused.value)


def test_every_field_is_filled_by_one_setting_and_every_name_is_its_own() -> None:
    filled = Counter(setting.field for setting in SETTINGS)
    assert set(Config.__struct_fields__) <= filled.keys()
    assert set(filled.values()) == {1}
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_a_server_name_goes_with_tls() -> None:
    for name in ("kubernetes", "127.0.0.1", "::1"):
        assert said("--apiserver=https://[fd00::1]", f"--tls-server-name={name}").config.tls_server_name == name


@pytest.mark.parametrize("key", ["written-at", "Example.com/Written_at", "a.b/c"])
def test_an_annotation_may_lack_a_domain_and_have_capitals(key: str) -> None:
    assert said("--annotation", key).config.annotation == key


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://127.0.0.1", "https://127.0.0.1:443"),
        ("http://localhost/", "http://localhost:80"),
        ("HTTPS://Api.Example.com:6443", "https://api.example.com:6443"),
        ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
        ("https://kind_control-plane:6443", "https://kind_control-plane:6443"),
    ],
)
def test_an_apiserver_always_has_its_port(text: str, url: str) -> None:
    assert said("--apiserver", text).config.apiservers == (url,)


def test_a_stranger_in_the_environment_is_a_warning() -> None:
    loaded = said(
        environ={
            "WATCHSLO_SLO_OBJECTVE": "0.9",
            "WATCHSLO_ZZZ": "",
            "watchslo_namespace": "a",
            "SLO_WINDOW": "30",
        }
    )
    assert loaded.warnings == (
        f'environment variable "WATCHSLO_SLO_OBJECTVE" {STRANGER}, did you mean "WATCHSLO_SLO_OBJECTIVE"?',
        f'environment variable "WATCHSLO_ZZZ" {STRANGER}',
    )


def test_what_kubernetes_injects_beside_a_service_is_ignored() -> None:
    loaded = said(
        environ={
            "WATCHSLO_PORT": "tcp://10.96.0.7:9985",
            "WATCHSLO_PORT_9985_TCP_ADDR": "10.96.0.7",
            "WATCHSLO_SERVICE_HOST": "10.96.0.7",
            "WATCHSLO_SERVICE_PORT_METRICS": "9985",
        }
    )
    assert loaded.warnings == ()


def test_a_canary_of_our_own_kind_is_watched_too() -> None:
    loaded = said("--canary.interval=1", "--canary.custom-resource=a/b")
    assert [str(name) for name in loaded.config.resources] == ["pods", "nodes", "canaries.watchslo.dev"]
    named = said("--canary.interval=1", "--canary.custom-resource=a/b", "--resource=canaries.v1.watchslo.dev")
    assert [str(name) for name in named.config.resources] == ["canaries.v1.watchslo.dev"]


def test_a_canary_that_is_never_written_is_a_warning() -> None:
    assert said("--canary.node=a").warnings == ("--canary.node: has no effect without --canary.interval",)
    assert said("--canary.node=a", "--canary.interval=1").warnings == ()
