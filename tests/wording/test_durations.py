import pytest

from exporter.wording.durations import go_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("4.73s", 4.73), ("12.3ms", 0.0123), ("1m2.5s", 62.5), ("1h0m0s", 3600), ("512.3µs", 512.3e-6), ("7ns", 7e-9)],
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert go_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "1", "-1s", "1s ", "1e9s", "9" * 99 + "s", "1.s", "∞s"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert go_seconds(text) is None
