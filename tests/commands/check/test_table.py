import pytest

from exporter.commands.check.table import Row, Section, table
from tests.commands.check.command import read_table

RULE = "- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [list, watch]}" * 2


def test_sections_stand_below_each_other_in_the_same_columns() -> None:
    text = table(
        [
            Section("server", (Row("version", "ok", "v1.36.3"), Row("round trip", "not checked"))),
            Section("nothing", ()),
            Section("permissions", (Row("watch pods", "missing", "add:", "- a rule"),)),
        ]
    )
    assert text == (
        "CHECK         RESULT       DETAIL\n"
        "\n"
        "server\n"
        "  version     ok           v1.36.3\n"
        "  round trip  not checked\n"
        "\n"
        "permissions\n"
        "  watch pods  missing      add:\n"
        "                           - a rule"
    )


def test_long_details_are_wrapped_and_rules_are_not() -> None:
    detail = "word " * 100
    text = table([Section("permissions", (Row("watch", "missing", detail, RULE),))])
    assert [line for line in text.splitlines() if len(line) > 118] == [f"{'':22}{RULE}"]
    assert read_table(f"{text}\n\nend")["permissions"]["watch"] == ("missing", f"{detail}{RULE}")


@pytest.mark.parametrize("length", [40, 100])
def test_a_long_name_leaves_the_detail_some_room(length: int) -> None:
    text = table([Section("resources", (Row("n" * length, "ok", "word " * 30),))])
    assert max(len(line) for line in text.splitlines()) <= max(118, length + 2 + 2 + 11 + 2 + 40)
    assert read_table(f"{text}\n\nend")["resources"]["n" * length] == ("ok", ("word " * 30).strip())


def test_a_narrow_terminal_gets_the_details_below() -> None:
    rows = (Row("watch pods", "missing", "word " * 20, RULE), Row("round trip", "not checked"))
    assert table([Section("permissions", rows)], 60).splitlines() == [
        "CHECK         RESULT",
        "",
        "permissions",
        "  watch pods  missing",
        f"{'':6}{('word ' * 10)}word",
        f"{'':6}{('word ' * 8)}word",
        f"{'':6}{RULE}",
        "  round trip  not checked",
    ]


def test_a_wide_terminal_gets_no_wider_table() -> None:
    sections = [Section("permissions", (Row("watch", "missing", "word " * 100, RULE),))]
    assert table(sections, 300) == table(sections)
