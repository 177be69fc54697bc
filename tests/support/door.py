"""What a person sees who calls watchslo: exit code, stdout and stderr."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.cli import main

FILE = Path("watchslo.yaml")
READ_FILE = ["run", "--config.file", str(FILE)]


@dataclass(frozen=True)
class Answer:
    exit_code: int
    out: str
    err: str


class Door:
    """Calls watchslo in an empty working directory and an environment without variables of ours."""

    def __init__(self, capsys: pytest.CaptureFixture[str], environment: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._environment = environment

    def call(self, *words: str, **variables: str) -> Answer:
        for variable, text in variables.items():
            self._environment.setenv(variable, text)
        exit_code = main(words)
        captured = self._capsys.readouterr()
        return Answer(exit_code, captured.out, captured.err)

    def refusal(self, *words: str, **variables: str) -> str:
        """The sentence, after making sure that there is nothing but the sentence."""
        answer = self.call(*words, **variables)
        assert (answer.exit_code, answer.out) == (2, "")
        first_line, *more = answer.err.splitlines()
        assert more == []
        assert first_line.startswith("watchslo: error: ")
        return first_line.removeprefix("watchslo: error: ")
