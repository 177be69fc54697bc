"""cpu.stat as both versions of cgroups have it."""

from pathlib import Path

import pytest

from exporter.service.cpu_limit import CpuLimit

SECOND = "usage_usec 900\nnr_periods 10\nnr_throttled 2\nthrottled_usec 2500000\n"
FIRST = "nr_periods 10\nnr_throttled 2\nthrottled_time 1500000000\n"
ROOT = "usage_usec 900\nuser_usec 1\n"
"""The root of version 2 limits nothing, and says so by silence."""


@pytest.mark.parametrize(
    ("membership", "files", "seconds"),
    [
        ("0::/pod/container\n", {"pod/container": SECOND, ".": ROOT}, 2.5),
        ("0::/pod/container\n", {".": SECOND}, 2.5),
        ("0::/\n", {".": ROOT}, None),
        ("2:cpuacct:/\n4:cpu,cpuacct:/pod\n0::/\n", {"cpu/pod": FIRST}, 1.5),
        ("4:cpu,cpuacct:/pod\n", {"cpu": FIRST}, 1.5),
        ("4:cpu,cpuacct:/pod\n", {"cpu/pod": FIRST, "cpu": "throttled_time 0\n"}, 1.5),
        ("3:cpuset:/\n", {"cpu": FIRST}, None),
        ("", {}, None),
        (None, {".": SECOND}, None),
    ],
)
def test_the_file_of_our_cgroup_is_found(
    tmp_path: Path, membership: str | None, files: dict[str, str], seconds: float | None
) -> None:
    told = tmp_path / "membership"
    if membership is not None:
        told.write_text(membership)
    for folder, text in files.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "cpu.stat").write_text(text)
    limit = CpuLimit(tmp_path, told)
    assert limit.throttled_seconds() == seconds
    for file in tmp_path.rglob("cpu.stat"):
        file.unlink()
    assert limit.throttled_seconds() is None, "its cgroup went"


def test_of_this_process_it_is_a_time_or_unknown() -> None:
    seconds = CpuLimit().throttled_seconds()
    assert seconds is None or seconds >= 0
