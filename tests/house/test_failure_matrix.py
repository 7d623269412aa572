"""The page of the failure matrix shows the scenarios that are played, each with figures."""

from tests.faults.matrix.page import HEAD, PAGE, figures_of, text
from tests.faults.matrix.scenarios import SCENARIOS


def test_the_page_and_the_scenarios_agree() -> None:
    written = PAGE.read_text(encoding="utf-8")
    figures = figures_of(written)

    assert written == text(SCENARIOS, figures), "write it anew: python -m tests.faults.matrix"
    assert list(figures) == [scenario.fault for scenario in SCENARIOS], "measure those that are missing, by their names"


def test_the_scenarios_have_names_faults_and_words_of_their_own() -> None:
    for each in (
        [scenario.name for scenario in SCENARIOS],
        [scenario.fault for scenario in SCENARIOS],
        [scenario.words for scenario in SCENARIOS],
    ):
        assert len(set(each)) == len(each)
        assert all(each)


def test_the_page_says_that_nothing_was_lost() -> None:
    lost = HEAD.index("lost") - 1

    assert {cells[lost] for cells in figures_of(PAGE.read_text(encoding="utf-8")).values()} == {"0"}
