"""What the documents say must be what the code does."""

from pathlib import Path

import pytest

from exporter import config
from exporter.expose import families

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "text"),
    [("configuration.md", config.reference_markdown()), ("metrics.md", families.reference_markdown())],
)
def test_a_reference_page_is_what_scripts_docs_writes(page: str, text: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == text


def test_every_page_that_the_readme_links_to_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = {part.split(")")[0] for part in text.split("](")[1:]}
    assert links
    assert not [link for link in links if not link.startswith("http") and not (ROOT / link).exists()]
