"""What else scrapes and alerts, by value: PodMonitor, ScrapeConfig, and those of VictoriaMetrics."""

import json
from typing import Any

import pytest

from tests.deploy.rendering import CHART, Object, environment, first_pod, helm, of_kind, only, rendered

MONITORS = {
    "podMonitor": ("PodMonitor", "podMetricsEndpoints"),
    "vmServiceScrape": ("VMServiceScrape", "endpoints"),
}
TLS = ("--set", "web.configSecret=web,web.tls=true")
WITH_TOKENS = ("--set", "web.authFilter.enabled=true")
TOKEN = {"credentials": {"name": "scraper", "key": "token"}}


def on(value: str, **more: Any) -> tuple[str, str]:
    return "--set-json", f"{value}={json.dumps({'enabled': True, **more})}"


def endpoint(value: str, *arguments: str, **more: Any) -> Object:
    """The endpoint of a monitor, which is that of the Pod's port."""
    kind, endpoints = MONITORS[value]
    objects = rendered(*on(value, **more), *arguments)
    spec = only(objects, kind)["spec"]
    pod = first_pod(objects)
    assert spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert pod["metadata"]["labels"][spec["jobLabel"]] == "watchslo"
    [found] = spec[endpoints]
    [port] = pod["spec"]["containers"][0]["ports"]
    assert found["port"] == port["name"]
    return dict(found)


def scrape_config(*arguments: str, **more: Any) -> Object:
    return dict(only(rendered(*on("scrapeConfig", **more), *arguments), "ScrapeConfig")["spec"])


def test_they_are_off() -> None:
    kinds = ("PodMonitor", "ScrapeConfig", "VMServiceScrape", "VMRule")
    assert of_kind(rendered(), *kinds) == []
    values = CHART / "ci" / "other-monitors-values.yaml"
    assert {one["kind"] for one in of_kind(rendered("--values", values), *kinds)} == {*kinds}


@pytest.mark.parametrize("value", MONITORS)
def test_a_monitor_scrapes_what_the_pod_serves(value: str) -> None:
    assert endpoint(value) == {"port": "http-metrics", "interval": "10s", "scheme": "http"}
    assert endpoint(value, *TLS)["scheme"] == "https"
    more = {"basicAuth": {"username": {"name": "web", "key": "user"}}}
    changed = endpoint(value, interval="30s", endpoint=more)
    assert changed == {"port": "http-metrics", "interval": "30s", "scheme": "http", **more}


def test_a_scrape_config_finds_the_pods_by_their_labels() -> None:
    spec = scrape_config("--namespace", "here")
    [found] = spec["kubernetesSDConfigs"]
    pod = first_pod(rendered())
    [selector] = found["selectors"]
    assert (found["role"], selector["role"], spec["jobName"]) == ("Pod", "Pod", "watchslo")
    wanted = dict(pair.split("=") for pair in selector["label"].split(","))
    assert wanted.items() <= pod["metadata"]["labels"].items()
    assert len(wanted) == 2
    assert found["namespaces"] == {"names": ["here"]}
    [keep, *others] = spec["relabelings"]
    assert keep["regex"] == pod["spec"]["containers"][0]["ports"][0]["name"]
    assert [one["targetLabel"] for one in others] == ["namespace", "pod", "container"]
    assert (spec["scrapeInterval"], spec["scheme"]) == ("10s", "HTTP")
    assert scrape_config(*TLS)["scheme"] == "HTTPS"
    assert scrape_config(interval="1m", spec={"sampleLimit": 9})["sampleLimit"] == 9


def test_vmagent_shows_its_own_token_and_others_need_one_from_a_secret() -> None:
    assert endpoint("vmServiceScrape", *WITH_TOKENS)["bearerTokenFile"].endswith("/serviceaccount/token")
    named = endpoint("vmServiceScrape", *WITH_TOKENS, endpoint={"authorization": TOKEN})
    assert (named["authorization"], "bearerTokenFile" in named) == (TOKEN, False)
    assert endpoint("podMonitor", *WITH_TOKENS, endpoint={"authorization": TOKEN})["authorization"] == TOKEN
    assert scrape_config(*WITH_TOKENS, spec={"authorization": TOKEN})["authorization"] == TOKEN


@pytest.mark.parametrize("value", ["podMonitor.endpoint", "scrapeConfig.spec"])
def test_what_could_not_show_a_token_is_refused(value: str) -> None:
    refused = helm("template", "watchslo", CHART, *WITH_TOKENS, *on(value.split(".", maxsplit=1)[0]))
    assert refused.returncode != 0
    assert f"with web.authFilter.enabled, {value}.authorization has to name a Secret with a token" in refused.stderr


def test_the_rules_are_the_same_for_vmalert() -> None:
    settings = {"enabled": True, "coverage": 0.995, "memoryMebibytes": 900, "runbooks": "https://a", "sloth": True}
    words = ("--set", "clusterLabel=k8s_cluster", "--set-json", f"prometheusRule={json.dumps(settings)}")
    objects = rendered(*words, *on("vmRule", labels={"team": "platform"}))
    rule = only(objects, "VMRule")
    assert rule["spec"] == only(objects, "PrometheusRule")["spec"]
    assert rule["metadata"]["labels"]["team"] == "platform"


@pytest.mark.parametrize("histograms", ["classic", "native", "both"])
def test_prometheus_is_told_to_take_native_histograms_where_they_are_offered(histograms: str) -> None:
    monitors = [on(value) for value in ("serviceMonitor", "podMonitor", "scrapeConfig")]
    objects = rendered(*[word for words in monitors for word in words], "--set", f"metrics.histograms={histograms}")
    specs = [only(objects, kind)["spec"] for kind in ("ServiceMonitor", "PodMonitor", "ScrapeConfig")]
    assert [one.get("scrapeNativeHistograms", False) for one in specs] == [histograms != "classic"] * 3
    assert environment(first_pod(objects)).get("WATCHSLO_METRICS_HISTOGRAMS", "classic") == histograms
