"""Every alert of the shipped file, in a real promtool."""

import subprocess

import pytest

from tests.real.tools import tool
from tests.rules import promtool
from tests.rules.mutants import MUTANTS, Mutant, scenario_of
from tests.rules.promtool import Case, Scenario
from tests.rules.scenarios import SCENARIOS
from tests.rules.shipped import RULES, SLOTH_RULES, alerts

# One run of promtool is behind each fixture; the machine may be busy.
pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

Failed = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    """The scenarios that failed, of each alert."""
    cases = [
        Case(alert.key, alert.needed, [scenario for scenario in SCENARIOS if scenario.alert == alert.key])
        for alert in alerts()
    ]
    return promtool.run(tool("promtool"), tmp_path_factory.mktemp("scenarios"), cases)


@pytest.fixture(scope="module")
def noticed(tmp_path_factory: pytest.TempPathFactory) -> Failed:
    """The scenarios that failed, of each mutant, which is named by its number."""
    shipped = {alert.key: alert for alert in alerts()}
    cases = [
        Case(str(number), mutant.rules(shipped[mutant.alert]), [scenario_of(mutant)])
        for number, mutant in enumerate(MUTANTS)
    ]
    return promtool.run(tool("promtool"), tmp_path_factory.mktemp("mutants"), cases)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: f"{scenario.alert}: {scenario.name}")
def test_an_alert_is_what_the_scenario_says(scenario: Scenario, failed: Failed) -> None:
    assert failed[scenario.alert].get(scenario.name) is None


@pytest.mark.parametrize(
    ("number", "mutant"), [*enumerate(MUTANTS)], ids=[f"{each.alert}: {each.wrong}" for each in MUTANTS]
)
def test_a_mistake_in_the_rules_breaks_a_scenario(number: int, mutant: Mutant, noticed: Failed) -> None:
    assert set(noticed[str(number)]) == {mutant.noticed_by}


def test_every_alert_has_scenarios_and_a_mutant() -> None:
    keys = {alert.key for alert in alerts()}
    assert {scenario.alert for scenario in SCENARIOS} == keys
    names = {key.split("-")[0] for key in keys}
    assert {mutant.alert.split("-")[0] for mutant in MUTANTS} == names


def test_promtool_finds_no_fault_with_the_shipped_files() -> None:
    words = [str(tool("promtool")), "check", "rules", "--lint=all", "--lint-fatal", str(RULES), str(SLOTH_RULES)]
    checked = subprocess.run(words, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
