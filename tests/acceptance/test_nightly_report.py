"""The nightly report tells what was sold, what is missing, and how the night went."""

import re

import pytest

from tests.acceptance.programs import Folder
from tests.house.inspection import ROOT

pytestmark = pytest.mark.timeout(120)

RUN = (str(ROOT / "examples" / "02-nightly-report" / "main.py"),)


@pytest.mark.parametrize("columns", [80, 140])
def test_it_reports_what_was_sold_and_says_what_is_missing(folder: Folder, columns: int) -> None:
    ended = folder.using(COLUMNS=str(columns)).run(command=RUN)

    assert ended.status == 0, ended.err
    assert "Sales (sunny): 17,880.70 in 5 shops\nBirgu: 5,947.20 by 151 sales, mostly cheese\n" in ended.out
    assert ended.out.endswith("missing: no line to Paola\n")
    rows = re.findall(r"│ complete +│ +\d+ │( +█+)?", ended.out)
    assert len(rows) == 12
    assert sum(map(bool, rows)) >= 9, "a bar is missing where a run was over before anybody listened"
    assert re.search(r"till-Paola +│ expired +│ +2 │ +█+ +█+ +│", ended.out)
    assert re.search(r"sum-Paola +│ unreachable +│ +0 │ +│", ended.out)
    assert max(map(len, ended.out.splitlines())) <= columns


def test_shops_may_be_chosen_and_a_name_that_cannot_be_used_is_told(folder: Folder) -> None:
    ended = folder.run("Sliema", command=RUN)
    refused = folder.run("a b", command=RUN)

    assert "Sales (sunny): 4,115.00 in 1 shops\n" in ended.out
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.startswith("'till-a b' is not a legal name of a task in a flow")
