from html.parser import HTMLParser
from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.web import landing

SLO = {"objective_ratio": 0.999, "window_seconds": 60.0, "threshold_seconds": 1.0}


class Table(HTMLParser):
    """The cells' texts as a browser would show them, and every tag and attribute met on the way."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: dict[str, list[str]] = {"th": [], "td": []}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._in: str | None = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.cells:
            self._in = tag
            self.cells[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.cells:
            self._in = None

    def handle_data(self, data: str) -> None:
        if self._in:
            self.cells[self._in][-1] += data


def test_streams_stand_in_a_table_with_a_column_for_every_key() -> None:
    streams: list[dict[str, object]] = [
        {"resource": "pods", "up": True, "p99_upper_seconds": 0.25},
        {"resource": "nodes", "up": False, "p99_upper_seconds": inf, "state": "quiet"},
    ]
    table = Table(landing.page("1.2.3", SLO, streams))
    assert table.cells["th"] == ["resource", "up", "P99 of the window at most, seconds", "state of the window"]
    pods, nodes = table.cells["td"][:4], table.cells["td"][4:]
    assert pods == ["pods", "yes", "0.250", "\N{EN DASH}"]
    assert nodes == ["nodes", "no", "no limit", "quiet"]


def test_the_page_says_what_it_is_and_links_the_others() -> None:
    page = landing.page("1.2.3", SLO, [])
    assert "<h1>watchslo 1.2.3</h1>" in page
    assert "99.9 % of the events of a rolling window of 60 s within 1 s" in page
    links = [attributes["href"] for tag, attributes in Table(page).tags if tag == "a"]
    assert links == ["metrics", "api/v1/status", "livez", "readyz"]


def test_the_page_can_be_used_without_seeing_it() -> None:
    tags = Table(landing.page("1.2.3", SLO, [{"resource": "pods"}])).tags
    assert ("html", {"lang": "en"}) in tags
    assert ("th", {"scope": "col"}) in tags
    assert {"main", "h1", "caption", "title"} <= {tag for tag, _ in tags}


@settings(deadline=None)
@given(name=st.text(alphabet="<>&\"'{}a/", min_size=1), value=st.text(alphabet="<>&\"'{}a/"))
def test_whatever_a_stream_holds_is_text(name: str, value: str) -> None:
    plain = Table(landing.page("1.2.3", SLO, [{"a": "a"}]))
    odd = Table(landing.page(value, SLO, [{name: value}]))
    assert odd.cells == {"th": [name], "td": [value]}
    assert odd.tags == plain.tags


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    page = landing.page("1.2.3", SLO, [{"resource": "pods"}])
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in Table(page).tags}
    assert "//" not in page


def test_numbers_say_whether_they_are_of_the_window_or_since_the_start() -> None:
    streams = [{"window_events": 7, "late": 1, "relists": 2}]
    assert Table(landing.page("1.2.3", SLO, streams)).cells["th"] == [
        "events in the window",
        "late since the start",
        "relists since the start",
    ]
