"""What the documents say must be what the code does."""

import json
import re
from pathlib import Path

import pytest

from exporter import config
from exporter.diagnosis import reference as faults
from exporter.kubernetes.apiservers import MOST_APISERVERS
from exporter.kubernetes.backoff import LONGEST_ASKED_SECONDS
from exporter.limits import MOST_MESSAGE_BYTES
from exporter.measure.events import LONGEST_LINE_BYTES
from exporter.measure.stream_state import Fading
from exporter.metrics import families
from exporter.service.daemon import Exporter, load_credentials
from exporter.simulator import Simulator
from exporter.watch.watch import UNFINISHED_LINES
from tests.commands.check.command import plain_kubeconfig
from tests.support.observing import config as settings
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("configuration.md", config.reference_markdown()),
        ("metrics.md", families.reference_markdown()),
        ("faults.md", faults.reference_markdown()),
    ],
)
def test_a_reference_page_is_what_scripts_docs_writes(page: str, text: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "SECURITY.md",
        "deploy/README.md",
        "docs/audit.md",
        "docs/lists.md",
        "docs/image.md",
        "docs/platforms.md",
    ],
)
def test_every_page_that_is_linked_to_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = {part.split(")")[0].partition("#")[0] for part in text.split("](")[1:]}
    assert links
    folder = (ROOT / page).parent
    assert not [link for link in links if not link.startswith("http") and not (folder / link).exists()]


def test_what_security_md_names_exists_and_has_those_limits() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    flags = set(re.findall(r"--[a-z][a-z.-]+", text))
    metrics = set(re.findall(r"watchslo_[a-z_]+", text))
    assert flags
    assert metrics
    assert flags <= {setting.flag for setting in config.SETTINGS}
    assert metrics <= set(re.findall(r"watchslo_[a-z_]+", families.reference_markdown()))
    limits = {setting.flag: setting.default[0] for setting in config.SETTINGS if setting.flag.startswith("--web.max-")}
    for said in (
        f"A line of a watch may have {LONGEST_LINE_BYTES >> 20} MiB",
        f"all unfinished lines together {UNFINISHED_LINES.left_bytes >> 20} MiB",
        f"{MOST_MESSAGE_BYTES >> 10} KiB of an error",
        f"more than {LONGEST_ASKED_SECONDS:g} s longer",
        f"that of discovered apiservers to {MOST_APISERVERS}",
        *(f"`{flag}` ({default})" for flag, default in limits.items()),
    ):
        assert said in text


async def test_the_status_page_has_every_field_of_the_status_document_and_no_other(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "status.md").read_text(encoding="utf-8")
    of_document, of_stream = (
        {name for cell in re.findall(r"^\| (`.*?) \|", part, re.MULTILINE) for name in re.findall(r"`([\w.]+)`", cell)}
        for part in page.split("## Each stream")
    )
    async with Simulator() as simulator:
        kubeconfig = plain_kubeconfig(tmp_path / "kubeconfig", simulator.url)
        flags = ("--kubeconfig", kubeconfig, "--resource", "pods", "--pod-startup")
        exporter = Exporter(settings(*flags), await load_credentials(settings(*flags)))
        async with exporter.running():
            await wait_until(lambda: bool(exporter.states()), "a stream is there")
            status = json.loads(b"".join(exporter.status(has_errors=True)))
    document = {f"slo.{key}" for key in status.pop("slo")} | status.keys()
    assert document == of_document
    [stream] = status["streams"]
    below = {f"{field}.{key}" for field in ("pod_startup", "interruptions") for key in stream[field]}
    below |= {f"fading.{key}" for key in Fading._fields}
    assert stream.keys() | below == of_stream
    assert stream["relists"] == 0


GENERATED = {
    "accuracy",
    "configuration",
    "faults",
    "faults-measured",
    "growth",
    "metrics",
    "performance",
    "soak",
    "support",
}
PROSE = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem not in GENERATED),
]


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_prose_is_wrapped(page: Path) -> None:
    """Tables, code and what cannot be broken may be wide, such as a link's target."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    prose = [line for line in text.splitlines() if not line.startswith(("|", "    ", "  |", "#", "!["))]
    assert not [line for line in prose if len(re.sub(r"\]\(\S*\)", "]", line)) > 100]


def test_contributing_names_files_that_are_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("**Where does a change belong?**") : text.index("**Not wanted")]
    paths = set(re.findall(r"`([\w/]+/[\w/]*(?:\.py)?)`", table))
    assert len(paths) > 20
    missing = [path for path in paths if not (ROOT / path).exists() and not (ROOT / "exporter" / path).exists()]
    assert not missing
