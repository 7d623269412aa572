"""The page of guarantees names tests, and they exist."""

import re

from tests.house.inspection import ROOT

PAGE = ROOT / "docs" / "explanation" / "delivery-guarantees.md"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_each_guarantee_names_the_test_that_shows_it() -> None:
    table = PAGE.read_text().partition("| at this moment |")[2].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    named = [NAMED.search(row) for row in rows]

    assert len(rows) > 10
    assert all(named)
    for test in named:
        assert test is not None
        assert f"def {test[2]}(" in (ROOT / "tests" / test[1]).read_text(), test[0]
