"""Audit logs are followed as apiservers write them: in parts, rotated, cut off, missing for a while."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.audit.live_counts import LiveCounts
from exporter.limits import refused_texts
from exporter.service import audit_file
from exporter.service.audit_file import AuditFile
from exporter.service.audit_intake import AuditIntake
from tests.audit.lines import Json, lines, listed
from tests.support.waiting import wait_until

LIST = ("alice", "list", "pods")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_file, "LOOK_SECONDS", 0.01)


@contextlib.asynccontextmanager
async def followed(path: Path) -> AsyncIterator[LiveCounts]:
    counts = LiveCounts()
    task = asyncio.create_task(AuditFile(path, AuditIntake(counts)).follow())
    await asyncio.sleep(0)  # it is open by now
    try:
        yield counts
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def some(number: int) -> bytes:
    events: list[Json] = [one for at in range(number) for one in listed(at=at)]
    return lines(events)


async def reaches(counts: LiveCounts, requests: int) -> None:
    def has() -> bool:
        return LIST in counts.totals and counts.totals[LIST].requests == requests

    await wait_until(has, f"{requests} requests are counted")


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


async def test_what_is_added_is_counted_and_what_was_there_is_not(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(some(50))
    async with followed(path) as counts:
        append(path, some(3))
        await reaches(counts, 3)
        half = some(2)
        append(path, half[:-100])
        await reaches(counts, 4)
        append(path, half[-100:])
        await reaches(counts, 5)


async def test_a_log_is_rotated_by_renaming_and_nothing_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch()
    async with followed(path) as counts:
        for number in range(5):
            append(path, some(200))
            path.rename(tmp_path / f"audit-{number}.log")
            path.write_bytes(some(300))
            await reaches(counts, 500 * (number + 1))


async def test_a_log_is_rotated_by_copying_and_emptying_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.touch()
    async with followed(path) as counts:
        append(path, some(20))
        await reaches(counts, 20)
        shutil.copy(path, tmp_path / "copy.log")
        path.write_bytes(b"")
        append(path, some(3))
        await reaches(counts, 23)


async def test_a_log_that_comes_later_is_read_from_its_beginning_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.log"
    async with followed(path) as counts:
        await asyncio.sleep(0.1)
        path.write_bytes(some(4))
        await reaches(counts, 4)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["audit log not read"]


async def test_what_cannot_be_read_neither_stops_nor_fills_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.log"
    path.mkdir()
    before = refused_texts.times["audit"]
    async with followed(path) as counts:
        await asyncio.sleep(0.1)
        path.rmdir()
        path.write_bytes(b"junk\n" * 3 + some(1))
        await reaches(counts, 1)
    assert refused_texts.times["audit"] == before + 3
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["audit log not read"]


def link(path: Path, target: Path) -> None:
    """Let `path` be a link there, whatever it was; a link to itself cannot be opened by anybody, not even by root."""
    fresh = path.with_suffix(".fresh")
    fresh.symlink_to(target)
    fresh.replace(path)


async def test_a_log_that_cannot_be_opened_at_first_is_read_from_when_it_can(tmp_path: Path) -> None:
    path, log = tmp_path / "audit.log", tmp_path / "real.log"
    log.write_bytes(some(50))
    link(path, path)
    async with followed(path) as counts:
        await asyncio.sleep(0.1)
        link(path, log)
        await asyncio.sleep(0.2)
        append(log, some(3))
        await reaches(counts, 3)


async def test_after_an_error_a_log_is_read_from_where_it_was(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, log = tmp_path / "audit.log", tmp_path / "real.log"
    log.write_bytes(some(50))
    link(path, log)
    before = refused_texts.times["audit"]
    async with followed(path) as counts:
        two = some(2)
        append(log, two[:-100])
        await reaches(counts, 1)
        link(path, path)
        await wait_until(lambda: "audit log not read" in caplog.text, "it is said")
        append(log, two[-100:] + some(3))
        link(path, log)
        await reaches(counts, 5)
        link(path, path)
        await asyncio.sleep(0.1)
        another = tmp_path / "another.log"
        another.write_bytes(some(7))
        link(path, another)
        await reaches(counts, 12)
    assert refused_texts.times["audit"] == before, "the line that was half there is whole"
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["audit log not read"] * 2


async def test_a_log_whose_reads_fail_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "audit.log"
    link(path, Path("/proc/self/mem"))  # what is at its beginning cannot be read
    caplog.set_level("INFO")
    async with followed(path):
        await asyncio.sleep(0.3)
    assert [record.message for record in caplog.records] == ["audit log not read"]
