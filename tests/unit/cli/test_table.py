"""A table fits its terminal, and what people copy is whole."""

import unicodedata

import pytest

from jetq.cli.table import Column, lay_out

COLUMNS = (
    Column("ID"),
    Column("TYPE", cut=True),
    Column("TRIES", right=True),
    Column("ERROR", cut=True, from_width=90),
)
ID = "01M862K32HATKHJDHWMCRQH0XR"


def plain(_cell: str, shown: str) -> str:
    return shown


def lines(rows: list[tuple[str, ...]], width: int) -> list[str]:
    return list(lay_out(COLUMNS, rows, width, plain))


def test_columns_stand_under_their_headings() -> None:
    assert lines([(ID, "a", "1/10", ""), ("x", "long:type", "10/10", "")], 80) == [
        "ID                          TYPE       TRIES",
        f"{ID}  a           1/10",
        "x                           long:type  10/10",
    ]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_every_line_fits_and_no_id_is_cut(width: int) -> None:
    rows = [(ID, "t" * 200, "1/10", "e" * 500), (ID, "short", "1", "")]

    laid = lines(rows, width)

    assert all(len(line) <= width for line in laid)
    assert all(line.startswith(ID) for line in laid[1:])
    assert "…" in laid[1]
    assert "short" in laid[2]


def test_the_widest_column_gives_way_first() -> None:
    [_, row] = lines([(ID, "email:new", "1", "x" * 200)], 100)

    assert "email:new" in row


def test_a_narrow_terminal_goes_without_what_matters_least() -> None:
    rows = [(ID, "a", "1", "failed")]

    assert "failed" not in lines(rows, 80)[1]
    assert "failed" in lines(rows, 120)[1]


def test_wide_characters_count_twice() -> None:
    [_, row] = lines([(ID, "a", "1", "漢" * 200)], 100)

    width = sum(2 if unicodedata.east_asian_width(char) == "W" else 1 for char in row)
    assert 98 <= width <= 100


def test_colours_do_not_change_the_widths() -> None:
    rows = [(ID, "a", "1", "")]
    colored = lay_out(COLUMNS, rows, 80, lambda _cell, shown: f"<{shown}>")

    assert [line.replace("<", "").replace(">", "").rstrip() for line in colored] == lines(rows, 80)
