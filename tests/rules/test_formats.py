"""The objective as Sloth, Pyrra and OpenSLO read it, and Sloth's series out of our own rules.

The schemas are written from the three projects' specifications, and stricter: nothing but what we use may be there.
"""

import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.generator import files
from tests.real.tools import tool
from tests.rules.promtool import Values
from tests.rules.scenarios import steadily
from tests.rules.shipped import RULES, SLOTH_RULES
from tests.rules.test_definition import assert_all_there

Json = dict[str, Any]

NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"}
TEXT = {"type": "string", "minLength": 1, "maxLength": 1050}


def record(required: Json, **optional: Any) -> Json:
    """An object with these properties and no others."""
    return {
        "type": "object",
        "properties": required | optional,
        "required": [*required],
        "additionalProperties": False,
    }


def constant(value: str) -> Json:
    return {"const": value}


LABELS = {"type": "object", "additionalProperties": {"type": "string"}}

SLOTH = record(
    {
        "version": constant("prometheus/v1"),
        "service": NAME,
        "slos": {
            "type": "array",
            "minItems": 1,
            "items": record(
                {
                    "name": NAME,
                    "objective": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 100},
                    "sli": record({"events": record({"error_query": TEXT, "total_query": TEXT})}),
                    "alerting": record(
                        {
                            "name": TEXT,
                            "page_alert": record({"labels": LABELS}),
                            "ticket_alert": record({"labels": LABELS}),
                        },
                        annotations=LABELS,
                    ),
                },
                description=TEXT,
            ),
        },
    }
)

METRIC = record({"metric": TEXT})
PYRRA = record(
    {
        "apiVersion": constant("pyrra.dev/v1alpha1"),
        "kind": constant("ServiceLevelObjective"),
        "metadata": record({"name": NAME}, namespace=NAME, labels=LABELS),
        "spec": record(
            {
                # Custom resources have no floating point numbers there: it is a string.
                "target": {"type": "string", "pattern": r"^\d+(\.\d+)?$"},
                "window": {"type": "string", "pattern": r"^\d+[dwhm]$"},
                "indicator": record(
                    {
                        "ratio": record(
                            {"errors": METRIC, "total": METRIC}, grouping={"type": "array", "items": {"type": "string"}}
                        )
                    }
                ),
            },
            description=TEXT,
            alerting=record({}, name=TEXT, disabled={"type": "boolean"}),
        ),
    }
)

METADATA = record({"name": NAME}, displayName=TEXT)
SOURCE = record(
    {
        "metricSource": record(
            {"metricSourceRef": constant("prometheus"), "type": constant("Prometheus"), "spec": record({"query": TEXT})}
        )
    }
)
TRUE = {"const": True}
DURATION = {"type": "string", "pattern": "^[1-9][0-9]*[mhdwMQY]$"}
SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
OPENSLO_SPECS: Json = {
    "DataSource": record({"type": TEXT, "connectionDetails": {"type": "object"}}, description=TEXT),
    "Service": record({}, description=TEXT),
    "SLO": record(
        {
            "service": NAME,
            "indicator": record(
                {
                    "metadata": METADATA,
                    "spec": record({"ratioMetric": record({"counter": TRUE, "bad": SOURCE, "total": SOURCE})}),
                }
            ),
            "timeWindow": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": record({"duration": DURATION, "isRolling": TRUE}),
            },
            "budgetingMethod": constant("Timeslices"),
            "objectives": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": record(
                    {"target": SHARE, "timeSliceTarget": SHARE, "timeSliceWindow": constant("1m")}, displayName=TEXT
                ),
            },
        },
        description=TEXT,
    ),
}  # fmt: skip


def documents(name: str) -> list[Json]:
    return list(yaml.safe_load_all(files()[f"slo/{name}.yaml"]))


def queries(document: object) -> list[str]:
    """Everything in a document that is PromQL, as Prometheus would get it."""
    if isinstance(document, list):
        return [query for part in document for query in queries(part)]
    if not isinstance(document, dict):
        return []
    own = [document[key] for key in ("error_query", "total_query", "metric", "query") if key in document]
    return [query.replace("{{.window}}", "5m") for query in own] + queries(list(document.values()))


def test_the_sloth_spec_keeps_its_schema() -> None:
    [spec] = documents("sloth")
    jsonschema.validate(spec, SLOTH)
    assert {slo["objective"] for slo in spec["slos"]} == {99}
    for slo in spec["slos"]:
        assert all("[{{.window}}]" in query for query in slo["sli"]["events"].values())


def test_pyrras_resources_keep_their_schema() -> None:
    whole, by_resource = documents("pyrra")
    for document in (whole, by_resource):
        jsonschema.validate(document, PYRRA)
        assert document["spec"]["target"] == "99"
    assert by_resource["spec"]["indicator"]["ratio"]["grouping"] == ["cluster", "group", "resource"]


def test_openslos_resources_keep_their_schema_and_slice_time_into_minutes() -> None:
    for document in documents("openslo"):
        spec = OPENSLO_SPECS[document["kind"]]
        jsonschema.validate(
            document, record({"apiVersion": constant("openslo/v1"), "kind": {}, "metadata": METADATA, "spec": spec})
        )
    slos = [document["spec"] for document in documents("openslo") if document["kind"] == "SLO"]
    assert {(slo["objectives"][0]["target"], slo["objectives"][0]["timeSliceTarget"]) for slo in slos} == {(0.99, 0.99)}


@pytest.mark.parametrize("name", ["sloth", "pyrra", "openslo"])
def test_every_query_reads_what_the_exporter_exports(name: str) -> None:
    found = queries(documents(name))
    assert len(found) >= 4
    for query in found:
        assert_all_there(query)


def test_all_formats_speak_of_the_same_parts_of_the_events() -> None:
    [sloth] = documents("sloth")
    slos = {document["metadata"]["name"] for document in documents("openslo") if document["kind"] == "SLO"}
    assert slos == {slo["name"] for slo in sloth["slos"]}
    assert slos == {f"watch-latency{part}" for part in ("", "-pods", "-nodes", "-custom-resources")}


WIDGETS = 'apiserver="10.0.0.8:6443", group="example.com", resource="widgets"'
PODS = (
    'cluster="east", job="watchslo", resource="pods", sloth_id="watchslo-watch-latency-pods", '
    'sloth_service="watchslo", sloth_slo="watch-latency-pods"'
)
OF_PODS = '{sloth_slo="watch-latency-pods"}'
OF_WIDGETS = '{sloth_id="watchslo-watch-latency-widgets.example.com"}'
SLO_OF_ALL = '{sloth_slo="watch-latency"}'
INFO = 'sloth_mode="cli-gen-prom", sloth_objective="99", sloth_spec="prometheus/v1", sloth_version="none"'

# The SLO of another team, whose own rules Sloth made.
PAYMENTS = 'sloth_id="payments-requests", sloth_service="payments", sloth_slo="requests"'
OF_ANOTHER_TEAM: dict[str, Values] = {
    f'slo:sli_error:ratio_rate5m{{{PAYMENTS}, sloth_window="5m"}}': [0.00002] * 71,
    f"slo:objective:ratio{{{PAYMENTS}}}": [0.9999] * 71,
    f"slo:error_budget:ratio{{{PAYMENTS}}}": [0.0001] * 71,
}

# What Sloth's stock dashboards ask, and the answer in thousandths. They match by sloth_id: it must be no one else's.
ASKED = (
    (f"slo:sli_error:ratio_rate5m{OF_PODS}", f'{{{PODS}, sloth_window="5m"}}', 20),
    (f"slo:current_burn_rate:ratio{OF_PODS}", f"{{{PODS}}}", 2000),
    (f"slo:objective:ratio{OF_PODS}", f"{{{PODS}}}", 990),
    (f"slo:error_budget:ratio{OF_PODS}", f"{{{PODS}}}", 10),
    (f"slo:time_period:days{OF_PODS}", f"{{{PODS}}}", 30_000),
    (f"slo:period_burn_rate:ratio{OF_PODS}", f"{{{PODS}}}", 2000),
    (f"slo:period_error_budget_remaining:ratio{OF_PODS}", f"{{{PODS}}}", -1000),
    (f"sloth_slo_info{OF_PODS}", f"{{{PODS}, {INFO}}}", 1000),
    ('max by (sloth_slo) (slo:sli_error:ratio_rate1h{sloth_id="watchslo-watch-latency"})', SLO_OF_ALL, 30),
    ("sum by (sloth_id) (slo:sli_error:ratio_rate1h / on (sloth_id) slo:error_budget:ratio) > 3.5", OF_WIDGETS, 4000),
    ('count({sloth_service="payments"})', "{}", 3000),
    ('10 * slo:objective:ratio{sloth_service="payments"}', f"{{{PAYMENTS}}}", 9999),
)


@pytest.mark.real
@pytest.mark.timeout(300)
def test_sloths_dashboards_find_their_series(tmp_path: Path) -> None:
    events = {**steadily(2, 70), **steadily(4, 70, stream=WIDGETS), **OF_ANOTHER_TEAM}
    series = [{"series": name, "values": " ".join(map(str, values))} for name, values in events.items()]
    asked = [
        {"expr": f"round(1000 * ({expr}))", "eval_time": "70m", "exp_samples": [{"labels": labels, "value": value}]}
        for expr, labels, value in ASKED
    ]
    test = {
        "rule_files": [str(RULES), str(SLOTH_RULES)],
        "evaluation_interval": "1m",
        "group_eval_order": ["watchslo-sli", "watchslo-sli-long", "watchslo-sloth"],
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asked}],
    }
    (tmp_path / "sloth.test.yaml").write_text(yaml.safe_dump(test), encoding="utf-8")
    words = [str(tool("promtool")), "test", "rules", str(tmp_path / "sloth.test.yaml")]
    ended = subprocess.run(words, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
