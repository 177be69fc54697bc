"""What people do at three in the morning: the first step is an imperative, and what is to be typed can be typed."""

import re
import subprocess

import promql_parser
import pytest

from exporter.diagnosis.remedies import REMEDIES, steps
from exporter.vocabulary import FAULTS, Fault

IMPERATIVES = {"Compare", "Count", "Find", "Look", "Open", "Restart", "Run", "See"}
COMMANDS = ("conntrack", "crictl", "curl", "etcdctl", "kubectl", "ss", "watchslo")
CODE = [code for fault in FAULTS for step in steps(fault) for code in re.findall(r"`([^`]+)`", step)]
TYPED = [code for code in CODE if code.split()[0] in COMMANDS]


def test_every_fault_has_a_remedy() -> None:
    assert REMEDIES.keys() == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_first_step_is_something_to_look_at_or_to_do(fault: Fault) -> None:
    first, *_ = REMEDIES[fault]
    assert first.split()[0] in IMPERATIVES
    assert len(REMEDIES[fault]) <= 3
    for step in REMEDIES[fault]:
        assert step.endswith(".")
        assert step.count("`") % 2 == 0


def test_nearly_every_first_step_says_what_to_type() -> None:
    without = {fault for fault, remedy in REMEDIES.items() if "`" not in remedy[0]}
    assert without == {"relist_storm", "unknown_cause"}, "not to restart anything, and to look at the page"


@pytest.mark.parametrize("query", sorted({code for code in CODE if code not in TYPED}))
def test_what_is_no_command_is_promql(query: str) -> None:
    promql_parser.parse(query)


@pytest.mark.parametrize("command", sorted(set(TYPED)))
def test_a_shell_can_read_every_command(command: str) -> None:
    subprocess.run(["bash", "-n", "-c", command], check=True)


def test_places_are_filled_in_where_they_are_known() -> None:
    assert "kubectl get crd widgets.example.com -o" in steps("conversion_slow", resource="widgets.example.com")[0]
    assert "https://10.0.0.1:6443/livez" in steps("apiserver_unreachable", apiserver="10.0.0.1:6443")[0]
    assert "dport = :443 " in steps("connection_dropped", apiserver="[fd00::1]:443")[0]
    assert "dport = :6443 " in steps("connection_dropped")[0]
    assert "kubectl get RESOURCE -A" in steps("write_storm")[0]
    for fault in FAULTS:
        assert not re.search(r"\{(resource|apiserver|port)\}", " ".join(steps(fault)))
