"""What is printed cannot steer a terminal, and other programs can read it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jetq.cli.render import age, limit, print_fields, print_json, print_json_line, print_table, printable, size
from jetq.cli.table import Column

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, äöü, 漢字", "plain text, äöü, 漢字"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\tand a tab", r"two\nlines\tand a tab"),
        ("odd file \udcff", r"odd file \udcff"),
        ("\u202eright to left", r"\u202eright to left"),
    ],
)
def test_nothing_that_is_printed_steers_the_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_other_programs_get_a_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    columns = (Column("A"), Column("B", from_width=1000))

    print_table(columns, [("x", "1\n2"), ("y", "")], none="nothing")
    print_table(columns, [], none="nothing")

    assert capsys.readouterr().out == "x\t1\\n2\ny\t\n"


def test_other_programs_get_a_field_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields([("Name", "x\ny"), ("Empty", "")])

    assert capsys.readouterr().out == "Name\tx\\ny\n"


def test_json_is_one_document_or_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"when": NOW, "path": Path("x").name})
    document = capsys.readouterr().out
    print_json_line({"a": "x\ny"})
    line = capsys.readouterr().out

    assert json.loads(document) == {"when": "2026-11-24T03:00:00Z", "path": "x"}
    assert line == '{"a":"x\\ny"}\n'


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3 GiB")])
def test_sizes_are_short(count: int, shown: str) -> None:
    assert size(count) == shown


def test_no_limit_is_said_in_words() -> None:
    assert (limit(0), limit(1000), limit(0, duration=True), limit(90, duration=True)) == (
        "unlimited",
        "1,000",
        "unlimited",
        "1m30s",
    )


def test_an_age_looks_both_ways() -> None:
    assert (age(None), age(NOW - timedelta(seconds=90), NOW), age(NOW + timedelta(hours=1), NOW)) == (
        "",
        "1m30s",
        "in 1h",
    )
