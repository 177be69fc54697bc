import json
import re

import pytest

from exporter.config import SETTINGS, reference_markdown
from tests.support.door import FILE, Door

COMMANDS = ("run", "demo", "check", "measure", "why", "top", "audit", "lists", "healthcheck", "version")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("ask", ["-h", "--help"])
def test_help_has_every_flag_of_the_command_and_no_other(door: Door, command: str, ask: str) -> None:
    answer = door.call(command, ask)
    assert (answer.exit_code, answer.err) == (0, "")
    listed = set(re.findall(r"^  (--[a-z.-]+)", answer.out, re.MULTILINE))
    assert listed == {setting.flag for setting in SETTINGS if command in setting.commands}


def test_help_of_run_says_defaults(door: Door) -> None:
    text = " ".join(door.call("run", "--help").out.split())
    assert "has to be on time (default 0.99)" in text
    assert "(repeatable, default pods nodes)" in text
    assert "default )" not in text
    assert "default false" not in text
    assert "()" not in text


def test_help_has_each_heading_once(door: Door) -> None:
    headings = re.findall(r"^(\w[\w ]*):$", door.call("run", "--help").out, re.MULTILINE)
    assert len(set(headings)) == len(headings) > 5


@pytest.mark.parametrize("asked", ["--help", "-h", "help"])
def test_the_overview_has_every_command(door: Door, asked: str) -> None:
    answer = door.call(asked)
    assert (answer.exit_code, answer.err) == (0, "")
    assert tuple(re.findall(r"^  (\w+) ", answer.out, re.MULTILINE)) == COMMANDS


def test_help_comes_before_what_is_wrong(door: Door) -> None:
    assert door.call("run", "--slo.objective=2", "--help", WATCHSLO_SLO_WINDOW="1").exit_code == 0


def test_version_names_what_it_runs_on(door: Door) -> None:
    number = r"\d[\w.]*"
    line = rf"watchslo {number} \(python {number}, aiohttp {number}, uvloop {number}\)\n"
    assert re.fullmatch(line, door.call("version").out)
    assert door.call("--version").out == door.call("version").out
    assert door.call("--version", "--output=json").out == door.call("version", "--output=json").out


def test_version_is_there_for_programs_and_whatever_the_configuration_is(door: Door) -> None:
    answer = door.call("version", "--output", "json", WATCHSLO_SLO_WINDOW="1")
    assert answer.exit_code == 0
    assert json.loads(answer.out).keys() == {"watchslo", "python", "aiohttp", "uvloop"}


def test_the_reference_has_every_setting_once() -> None:
    rows = re.findall(r"^\| `(--[a-z.-]+)[^|]*\| `(\w+)` \|", reference_markdown(), re.MULTILINE)
    assert rows == [(setting.flag, setting.variable) for setting in SETTINGS]


def test_the_reference_says_default_repeatable_and_command() -> None:
    switch, listed, single = (
        next(line for line in reference_markdown().splitlines() if line.startswith(f"| `{flag}"))
        for flag in ("--apiserver.discover`", "--resource ", "--duration ")
    )
    assert switch.startswith("| `--apiserver.discover` | `WATCHSLO_APISERVER_DISCOVER` | `false` | watch every")
    assert switch.endswith("at most 64; while none answers, the server in the credentials |")
    assert "| `pods`, `nodes` |" in listed
    assert listed.endswith("plural.version.group (repeatable) |")
    assert single.startswith("| `--duration DURATION` |")
    assert single.endswith(
        "| how long to measure; of lists, how long to watch (of `watchslo lists`, `watchslo measure`, `watchslo why`) |"
    )


def test_the_example_in_the_reference_is_accepted(door: Door) -> None:
    example = reference_markdown().split("```yaml\n")[1].split("```")[0]
    FILE.write_text(example)
    # The last refusal there is: all of the file is valid.
    sentence = door.refusal("healthcheck", "--config.file", str(FILE), "--web.listen-address", ":0")
    assert sentence == "healthcheck needs a fixed port: port 0 means any free port"
