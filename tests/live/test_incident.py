"""Who makes watches late is named, with what it does and what to do about it, within a minute."""

from pathlib import Path

import pytest

from tests.conftest import FreshCluster
from tests.live.incident import incident, told
from tests.speed.consumers import has_go


@pytest.mark.timeout(180)
@pytest.mark.skipif(not has_go(), reason="the controller is not there: install Go")
async def test_page_command_document_and_metrics_name_who_lists(fresh_cluster: FreshCluster, tmp_path: Path) -> None:
    async with incident(fresh_cluster, tmp_path) as exporter:
        found = await told(exporter)
    assert found.seconds.keys() == {"/api/v1/diagnosis", "the page", "/metrics", "watchslo why --url"}, found.said
