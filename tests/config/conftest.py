import os
from pathlib import Path

import pytest

from tests.config.door import Door


@pytest.fixture
def door(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Door:
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("WATCHSLO_"):
            monkeypatch.delenv(variable)
    return Door(capsys, monkeypatch)
