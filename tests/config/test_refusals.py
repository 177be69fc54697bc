from pathlib import Path

import pytest

from tests.support.door import FILE, READ_FILE, Door

TIME = "is not a time with its zone: write 2026-11-29T02:00:00Z"
COMMANDS = "run, demo, check, measure, why, top, audit, lists, healthcheck, version"
LISTEN = "is not an address to listen on: write host:port, :port or [ipv6]:port"
RESOURCE = "is not a resource: write plural, plural.group or plural.version.group, in lower case"
URL = "is not an apiserver: write https://host:port, without a path"
NO_USER = "is not an apiserver: write https://host:port, without a name or a password"
PROMETHEUS = "is not a URL: write http://host:port"
RATIO = "is not a ratio between 0 and 1 (both excluded): write 0.99 or 99%"
POLLS = "is not a number of polls per second from 0 to 1000"
WRITE = "write 1.5, 500ms or 1m30s"
SOME_SECONDS = f"is not a duration above 0, at most 1 day: {WRITE}"
WINDOW = f"is not a duration from 10 s to 1 day: {WRITE}"
SOMETIMES = f"is not a duration of 0, or from 0.1 s to 1 day: {WRITE}"
COUNT = "is not a whole number from 1 to 1000"
ANNOTATION = "is not an annotation's key: write example.com/name or name, the name with at most 63"
NAMESPACE = "is not a namespace: lower-case letters, digits and dashes, at most 63"
GLOB = "is not a pattern for custom resources such as *.example.com: lower-case letters, digits and - . * ?"
OBJECT = "lower-case letters, digits, dashes and dots, at most 253"
NOT_YAML = '--config.file: "watchslo.yaml" is not YAML:'
LONG_NAME = ".".join(["a" * 50] * 5)
A, B = "https://127.0.0.1:6443", "https://127.0.0.2:6443"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        # The words themselves.
        ("", f"no command given: choose one of {COMMANDS}"),
        ("rnu", 'unknown command "rnu", did you mean "run"?'),
        ("foo", f'unknown command "foo": choose one of {COMMANDS}'),
        ("serve-metrics --log.level=info", f'unknown command "serve-metrics": choose one of {COMMANDS}'),
        ("--log.level=info run", f'the command comes before "--log.level=info": choose one of {COMMANDS}'),
        ("run --slo.objctive 0.9", 'unknown flag "--slo.objctive", did you mean "--slo.objective"?'),
        ("run --slo.objctive=0.9", 'unknown flag "--slo.objctive", did you mean "--slo.objective"?'),
        ("run --slo.obj 0.9", 'unknown flag "--slo.obj", did you mean "--slo.objective"?'),
        ("run --no-slo.window", 'unknown flag "--no-slo.window", did you mean "--slo.window"?'),
        ("version --slo.windw 60", 'unknown flag "--slo.windw"'),
        ("run --zzz", 'unknown flag "--zzz"'),
        ("run -x", 'unknown flag "-x"'),
        ("run pods", 'unexpected argument "pods": run takes only flags'),
        ("run --scenario slow", "--scenario: is not a flag of run, only of demo"),
        ("demo --resource pods", "--resource: is not a flag of demo, only of check, lists, measure, run, top, why"),
        ("demo --namespace lab", "--namespace: is not a flag of demo, only of check, lists, measure, run, top, why"),
        (
            "check --web.listen-address :1",
            "--web.listen-address: is not a flag of check, only of demo, healthcheck, run",
        ),
        ("check --log.level debug", "--log.level: is not a flag of check, only of demo, measure, run, top, why"),
        ("check --shard 0/2", "--shard: is not a flag of check, only of measure, run, top, why"),
        ("measure --web.config.file w", "--web.config.file: is not a flag of measure, only of demo, healthcheck, run"),
        ("measure --slo.window 5", "--slo.window: is not a flag of measure, only of check, demo, run"),
        ("demo --kubeconfig k", "--kubeconfig: is not a flag of demo, only of check, lists, measure, run, top, why"),
        (
            "demo --no-apiserver.discover",
            "--apiserver.discover: is not a flag of demo, only of check, measure, run, top, why",
        ),
        ("run --apiserver.metrics maybe", '--apiserver.metrics: "maybe" is not one of auto, on, off'),
        ("run --prometheus.url 127.0.0.1:9090", f'--prometheus.url: "127.0.0.1:9090" {PROMETHEUS}'),
        ("run --prometheus.url ftp://a", f'--prometheus.url: "ftp://a" {PROMETHEUS}'),
        ("run --prometheus.url http://a:0", f'--prometheus.url: "http://a:0" {PROMETHEUS}'),
        ("run --prometheus.url http://a:99999", f'--prometheus.url: "http://a:99999" {PROMETHEUS}'),
        ("run --prometheus.url http://[::1", f'--prometheus.url: "http://[::1" {PROMETHEUS}'),
        ("run --prometheus.url http://a/?x=1", f'--prometheus.url: "http://a/?x=1" {PROMETHEUS}'),
        (
            "run --prometheus.url http://a --apiserver.metrics on",
            "--prometheus.url: apiservers are not asked then: leave out --apiserver.metrics",
        ),
        ("run --slo.objective", "--slo.objective: needs a value"),
        ("run --annotation --log.level info", "--annotation: needs a value"),
        ("run --apiserver.discover=yes", "--apiserver.discover: takes no value"),
        ("run --namespace a --namespace b", '--namespace: is given 2 times: "a" and "b"'),
        # One value.
        ("run --slo.objective 2", f'--slo.objective: "2" {RATIO}'),
        ("run --slo.objective 0", f'--slo.objective: "0" {RATIO}'),
        ("run --slo.objective 1", f'--slo.objective: "1" {RATIO}'),
        ("run --slo.objective 100%", f'--slo.objective: "100%" {RATIO}'),
        ("run --slo.objective 99", f'--slo.objective: "99" {RATIO}, did you mean "0.99"?'),
        ("run --slo.objective 99.95", f'--slo.objective: "99.95" {RATIO}, did you mean "0.9995"?'),
        ("run --slo.objective 100", f'--slo.objective: "100" {RATIO}'),
        ("run --slo.objective 0%", f'--slo.objective: "0%" {RATIO}'),
        ("run --slo.objective 1e999999999%", f'--slo.objective: "1e999999999%" {RATIO}'),
        ("run --slo.objective %", f'--slo.objective: "%" {RATIO}'),
        ("run --slo.objective 99%%", f'--slo.objective: "99%%" {RATIO}'),
        ("run --slo.objective nan", f'--slo.objective: "nan" {RATIO}'),
        ("run --slo.threshold 0", f'--slo.threshold: "0" {SOME_SECONDS}'),
        ("run --slo.threshold -1", f'--slo.threshold: "-1" {SOME_SECONDS}'),
        ("run --slo.threshold 0s", f'--slo.threshold: "0s" {SOME_SECONDS}'),
        ("run --slo.threshold 25h", f'--slo.threshold: "25h" {SOME_SECONDS}'),
        ("run --slo.threshold 1ms1s", f'--slo.threshold: "1ms1s" {SOME_SECONDS}'),
        ("run --slo.threshold 1s1s", f'--slo.threshold: "1s1s" {SOME_SECONDS}'),
        ("run --slo.threshold=-1s", f'--slo.threshold: "-1s" {SOME_SECONDS}'),
        ("run --slo.threshold s", f'--slo.threshold: "s" {SOME_SECONDS}'),
        ("run --slo.threshold 1sec", f'--slo.threshold: "1sec" {SOME_SECONDS}'),
        ("run --slo.threshold=", f'--slo.threshold: "" {SOME_SECONDS}'),
        ("run --slo.window 9s999ms", f'--slo.window: "9s999ms" {WINDOW}'),
        ("run --resource pods,pods", '--resource: "pods" is given twice'),
        ("run --resource pods,Nodes", f'--resource: "Nodes" {RESOURCE}'),
        ("run --resource ,", f'--resource: "," {RESOURCE}'),
        ("run --slo.threshold inf", f'--slo.threshold: "inf" {SOME_SECONDS}'),
        ("run --slo.threshold 1e999", f'--slo.threshold: "1e999" {SOME_SECONDS}'),
        ("run --slo.threshold 1_0", f'--slo.threshold: "1_0" {SOME_SECONDS}'),
        ("run --slo.window 9.9", f'--slo.window: "9.9" {WINDOW}'),
        ("run --revision-clock.hz -1", f'--revision-clock.hz: "-1" {POLLS}'),
        ("run --revision-clock.hz nan", f'--revision-clock.hz: "nan" {POLLS}'),
        ("run --cache-clock.hz often", f'--cache-clock.hz: "often" {POLLS}'),
        (
            "run --clock.max-requests 0",
            '--clock.max-requests: "0" is not a number of polls per second above 0, at most 1000',
        ),
        ("run --clock.drift-ppm -5", '--clock.drift-ppm: "-5" is not a number of parts per million from 0 to 100000'),
        (
            "run --annotation.clock-error -0.1",
            f'--annotation.clock-error: "-0.1" is not a duration from 0 to 1 day: {WRITE}',
        ),
        ("run --custom-resources.max 0", f'--custom-resources.max: "0" {COUNT}'),
        ("run --custom-resources.max 2.5", f'--custom-resources.max: "2.5" {COUNT}'),
        ("run --custom-resources *.Example.com", f'--custom-resources: "*.Example.com" {GLOB}'),
        ("run --resource Pods", f'--resource: "Pods" {RESOURCE}'),
        ("run --resource pods.", f'--resource: "pods." {RESOURCE}'),
        (f"run --resource pods.{LONG_NAME}", f'--resource: "pods.{LONG_NAME[:195]}..." {RESOURCE}'),
        ("run --resource pods/status", f'--resource: "pods/status" {RESOURCE}'),
        ("run --namespace kube_system", f'--namespace: "kube_system" {NAMESPACE}'),
        ("run --namespace=", f'--namespace: "" {NAMESPACE}'),
        ("run --annotation example.com/", f'--annotation: "example.com/" {ANNOTATION}'),
        ("run --annotation a/b/c", f'--annotation: "a/b/c" {ANNOTATION}'),
        ("run --context=", '--context: "" is not a name'),
        ("run --apiserver 127.0.0.1:6443", f'--apiserver: "127.0.0.1:6443" {URL}'),
        ("run --apiserver ftp://127.0.0.1", f'--apiserver: "ftp://127.0.0.1" {URL}'),
        ("run --apiserver https://127.0.0.1/api", f'--apiserver: "https://127.0.0.1/api" {URL}'),
        ("run --apiserver https://127.0.0.1?x=1", f'--apiserver: "https://127.0.0.1?x=1" {URL}'),
        ("run --apiserver https://me@127.0.0.1", f'--apiserver: "https://...@127.0.0.1" {NO_USER}'),
        ("run --apiserver https://me:s3cret@127.0.0.1", f'--apiserver: "https://...@127.0.0.1" {NO_USER}'),
        ("run --apiserver https://me:s3c/r#t?@@127.0.0.1", f'--apiserver: "https://...@127.0.0.1" {NO_USER}'),
        ("run --apiserver me:s3cret@127.0.0.1:6443", f'--apiserver: "...@127.0.0.1:6443" {NO_USER}'),
        ("run https://me:s3cret@127.0.0.1", 'unexpected argument "https://...@127.0.0.1": run takes only flags'),
        (
            "run --context https://me:s3cret@a --context b",
            '--context: is given 2 times: "https://...@a" and "b"',
        ),
        ("run --apiserver https://127.0.0.256", f'--apiserver: "https://127.0.0.256" {URL}'),
        ("run --apiserver https://a..b", f'--apiserver: "https://a..b" {URL}'),
        (f"run --apiserver https://{LONG_NAME}", f'--apiserver: "https://{LONG_NAME[:192]}..." {URL}'),
        ("run --apiserver https://127.0.0.1:0", f'--apiserver: "https://127.0.0.1:0" {URL}'),
        ("run --apiserver https://[::zz]:1", f'--apiserver: "https://[::zz]:1" {URL}'),
        (
            "run --tls-server-name not/a/name",
            '--tls-server-name: "not/a/name" is not a server name as in a certificate',
        ),
        ("run --web.listen-address 9985", f'--web.listen-address: "9985" {LISTEN}'),
        ("run --web.listen-address a/b:1", f'--web.listen-address: "a/b:1" {LISTEN}'),
        ("run --web.listen-address :65536", f'--web.listen-address: ":65536" {LISTEN}'),
        ("run --web.listen-address ::1:9985", f'--web.listen-address: "::1:9985" {LISTEN}'),
        ("run --web.listen-address [localhost]:1", f'--web.listen-address: "[localhost]:1" {LISTEN}'),
        ("run --log.level warning", '--log.level: "warning" is not one of debug, info, warn, error'),
        ("run --log.format text", '--log.format: "text" is not one of logfmt, json'),
        ("run --canary.pod a/b/c", '--canary.pod: "a/b/c" is not the name of an object: write namespace/name or name'),
        ("run --canary.pod a/B", '--canary.pod: "a/B" is not the name of an object: write namespace/name or name'),
        (
            "run --canary.node Node",
            '--canary.node: "Node" is not the name of an object: ' + OBJECT,
        ),
        ("measure --duration 0", f'--duration: "0" {SOME_SECONDS}'),
        (
            "run --audit.listen-address :9986",
            "--audit.listen-address: whoever reaches it could forge events: add --audit.web-config.file",
        ),
        ("run --audit.user-names all", '--audit.user-names: "all" is not one of none, hashed, plain'),
        ("run --audit.file=", '--audit.file: "" is not a path'),
        ("audit a.log --since yesterday", f'--since: "yesterday" {TIME}'),
        ("audit a.log --until 2026-11-29T02:00:00", f'--until: "2026-11-29T02:00:00" {TIME}'),
        ("audit a.log --output yaml", '--output: "yaml" is not one of table, json, html'),
        ("audit --sinc 1", 'unknown flag "--sinc", did you mean "--since"?'),
        ("audit", "no file given: name audit logs, or - for standard input"),
        ("audit nowhere", 'cannot read "nowhere": No such file or directory'),
        ("audit .", 'cannot read ".": Is a directory'),
        ("measure --output html", '--output: "html" is not one of table, text, json'),
        ("measure a.log", 'unexpected argument "a.log": measure takes only flags'),
        ("version --output yaml", '--output: "yaml" is not one of table, text, json'),
        ("healthcheck --web.listen-address :0", "healthcheck needs a fixed port: port 0 means any free port"),
        # Files.
        ("run --kubeconfig nowhere", '--kubeconfig: "nowhere" does not exist'),
        ("run --kubeconfig .", '--kubeconfig: "." is not a file'),
        (f"run --kubeconfig {'k' * 300}", f'--kubeconfig: "{"k" * 200}..." cannot be read: File name too long'),
        ("run --config.file nowhere", '--config.file: "nowhere" does not exist'),
        ("run --web.config.file nowhere", '--web.config.file: "nowhere" does not exist'),
        # Values against each other.
        (f"run --apiserver {A} --apiserver {A}/", f'--apiserver: "{A}" is given twice'),
        (
            "run --apiserver https://A --apiserver https://a:443",
            '--apiserver: "https://a:443" is given twice',
        ),
        (
            f"run --apiserver {A} --apiserver.discover",
            "--apiserver and --apiserver.discover exclude each other: list the apiservers or discover them",
        ),
        (
            "run --apiserver http://127.0.0.1 --tls-server-name kubernetes",
            '--tls-server-name: there is no TLS certificate to verify at "http://127.0.0.1:80": use https there',
        ),
        ("run --resource pods --resource pods", '--resource: "pods" is given twice'),
        (
            "run --resource deployments.apps --resource deployments.v1.apps",
            '--resource: "deployments.apps" and "deployments.v1.apps" are the same kind',
        ),
        (
            "run --revision-clock.hz 60",
            "--revision-clock.hz: 60 polls per second are more than the 50 of --clock.max-requests (default)",
        ),
        (
            "run --clock.max-requests 5 --cache-clock.hz 5.5",
            "--cache-clock.hz: 5.5 polls per second are more than the 5 of --clock.max-requests",
        ),
        (
            "run --clock.max-requests 4",
            "--revision-clock.hz (default): 5 polls per second are more than the 4 of --clock.max-requests",
        ),
        ("run --shard 3", '--shard: "3" is not a shard: write index/count, as in 0/3, or auto/count in a StatefulSet'),
        ("run --shard 3/3", '--shard: "3/3" is not a shard: number 3 is not among 3, which begin with 0'),
        (
            "run --canary.interval 0.05",
            f'--canary.interval: "0.05" {SOMETIMES}',
        ),
        (
            "run --canary.interval 1 --resource nodes --canary.pod a/b",
            "--canary.pod: pods are not watched: add --resource pods",
        ),
        (
            "run --canary.interval 1 --resource pods --canary.node node-1",
            "--canary.node: nodes are not watched: add --resource nodes",
        ),
        (
            "run --canary.interval 1 --namespace here --canary.pod there/b",
            '--canary.pod: "there/b" is outside the watched namespace "here" that is watched',
        ),
        (
            "run --canary.interval 1 --namespace here --canary.custom-resource there/b",
            '--canary.custom-resource: "there/b" is outside the watched namespace "here" that is watched',
        ),
        (
            "run --web.peer http://me:secret@10.0.0.1:9985",
            '--web.peer: "http://...@10.0.0.1:9985" is not the URL of a page, without a name or a password',
        ),
        ("run --resource nodes --pod-startup", "--pod-startup: pods are not watched: add --resource pods"),
    ],
)
def test_a_bad_command_line_gets_one_sentence(door: Door, line: str, sentence: str) -> None:
    assert door.refusal(*line.split()) == sentence


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("WATCHSLO_SLO_OBJECTIVE", "2", f'WATCHSLO_SLO_OBJECTIVE: "2" {RATIO}'),
        ("WATCHSLO_RESOURCE", "pods, Nodes", f'WATCHSLO_RESOURCE: "Nodes" {RESOURCE}'),
        ("WATCHSLO_RESOURCE", "pods,pods", 'WATCHSLO_RESOURCE: "pods" is given twice'),
        ("WATCHSLO_APISERVER_DISCOVER", "perhaps", 'WATCHSLO_APISERVER_DISCOVER: "perhaps" is not true or false'),
        ("WATCHSLO_CONFIG_FILE", "nowhere", 'WATCHSLO_CONFIG_FILE: "nowhere" does not exist'),
        ("WATCHSLO_NAMESPACE", "Müller\\", f'WATCHSLO_NAMESPACE: "Müller\\" {NAMESPACE}'),
        ("WATCHSLO_CONTEXT", "a\tb", r'WATCHSLO_CONTEXT: "a\tb" is not a name'),
        ("WATCHSLO_NAMESPACE", "a\nb\x1b[2J", rf'WATCHSLO_NAMESPACE: "a\nb\x1b[2J" {NAMESPACE}'),
        (
            "WATCHSLO_CLOCK_MAX_REQUESTS",
            "4",
            "--revision-clock.hz (default): 5 polls per second are more than the 4 of WATCHSLO_CLOCK_MAX_REQUESTS",
        ),
    ],
)
def test_a_bad_variable_is_named(door: Door, variable: str, text: str, sentence: str) -> None:
    assert door.refusal("run", **{variable: text}) == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("slo:\n  objective: 2\n", f'watchslo.yaml:2: slo.objective: "2" {RATIO}'),
        ("slo.objective: 99 %\n", f'watchslo.yaml:1: slo.objective: "99 %" {RATIO}, did you mean "0.99"?'),
        ("slo:\n  objctive: 0.9\n", 'watchslo.yaml:2: unknown key "slo.objctive", did you mean "slo.objective"?'),
        ("custom_resources: a\n", 'watchslo.yaml:1: unknown key "custom_resources", did you mean "custom-resources"?'),
        ("zzz: {deep: 1}\n", 'watchslo.yaml:1: unknown key "zzz"'),
        ("zzz:\n", 'watchslo.yaml:1: unknown key "zzz"'),
        ("[a]: 1\n", 'watchslo.yaml:1: unknown key "?"'),
        ("<<: {namespace: a}\n", 'watchslo.yaml:1: unknown key "<<"'),
        ("config.file: other.yaml\n", 'watchslo.yaml:1: "config.file" cannot be set in a file'),
        (
            "slo: 0.99\n",
            'watchslo.yaml:1: "slo" is a section, not a setting: it holds slo.threshold, slo.objective, slo.window',
        ),
        ("slo: {window: 60}\nslo.window: 70\n", "watchslo.yaml:2: slo.window: is set twice in this file"),
        ("namespace: a\nnamespace:\n", "watchslo.yaml:2: namespace: is set twice in this file"),
        ("namespace: [a]\n", "watchslo.yaml:1: namespace: takes one value, not a list"),
        ("namespace: {a: b}\n", "watchslo.yaml:1: namespace: takes a value, not a mapping or a list"),
        ("namespace: {}\n", "watchslo.yaml:1: namespace: takes a value, not a mapping or a list"),
        ("resource: [[pods]]\n", "watchslo.yaml:1: resource: takes values, not a mapping or a list"),
        ("resource: [pods, ~]\n", f'watchslo.yaml:1: resource: "" {RESOURCE}'),
        (
            "resource: []\n",
            "watchslo.yaml:1: resource: there is nothing to watch: name it here or with --custom-resources",
        ),
        ("web: {listen-address: [9985]}\n", f'watchslo.yaml:1: web.listen-address: "9985" {LISTEN}'),
        (
            "canary:\n  interval: -1\n",
            f'watchslo.yaml:2: canary.interval: "-1" {SOMETIMES}',
        ),
        ("- namespace\n", '--config.file: "watchslo.yaml" is not a YAML mapping (lines of `key: value`)'),
        ("just words\n", '--config.file: "watchslo.yaml" is not a YAML mapping (lines of `key: value`)'),
        (
            "a: 1\n---\nb: 2\n",
            f"{NOT_YAML} expected a single document in the stream, but found another document in line 2",
        ),
        (
            "a: [\n",
            f"{NOT_YAML} while parsing a flow node, expected the node content, but found '<stream end>' in line 2",
        ),
        (
            "a: \x01\n",
            f"{NOT_YAML} unacceptable character #x0001: special characters are not allowed",
        ),
        ("a: " + "[" * 3000, '--config.file: "watchslo.yaml" is not usable YAML: it is nested too deeply'),
    ],
)
def test_a_bad_file_is_named_with_its_line(door: Door, content: str, sentence: str) -> None:
    FILE.write_text(content)
    assert door.refusal(*READ_FILE) == sentence


def test_bytes_that_are_no_text_are_refused(door: Door) -> None:
    FILE.write_bytes(b"namespace: \xff\n")
    assert door.refusal(*READ_FILE).startswith('--config.file: "watchslo.yaml" is not YAML: ')


def test_sources_that_disagree_are_both_named(door: Door) -> None:
    FILE.write_text("apiserver: https://127.0.0.1\n")
    sentence = door.refusal(*READ_FILE, WATCHSLO_APISERVER_DISCOVER="true")
    assert sentence.startswith("watchslo.yaml:1: apiserver and WATCHSLO_APISERVER_DISCOVER exclude each other: ")


@pytest.mark.parametrize(
    ("content", "end"),
    [("", "is empty"), ("- a\n", "is not a YAML mapping (lines of `key: value`)")],
)
@pytest.mark.parametrize("flag", ["--kubeconfig", "--web.config.file"])
def test_a_file_of_another_format_is_refused(door: Door, flag: str, content: str, end: str) -> None:
    Path("other").write_text(content)
    assert door.refusal("run", flag, "other") == f'{flag}: "other" {end}'


def test_the_password_of_a_prometheus_is_never_said(door: Door) -> None:
    answer = door.call("run", "--prometheus.url", "http://user:hidden@a/?x=1")
    assert answer.exit_code == 2
    assert "--prometheus.url" in answer.err
    assert "hidden" not in answer.err
    twice = door.call("run", *["--prometheus.url", "http://user:hidden@a"] * 2)
    assert "is given 2 times" in twice.err
    assert "hidden" not in twice.err
