"""The commit point of a flow holds, and each of its rules is needed."""

import pytest

from tests.model.flows import MUTANTS, RULES, UNPROVEN, FlowSearch, State


@pytest.mark.parametrize(
    "first",
    [State(), State(cancels=1), State(cancels=1, lenient=1), State(passes=((), ()))],
    ids=["one-pass", "cancelled", "cancelled-lenient", "two-passes"],
)
def test_a_flow_runs_as_a_whole_or_not_at_all(first: State) -> None:
    search = FlowSearch(first=first)
    assert search.run() == "holds"
    assert search.states > 1000


@pytest.mark.parametrize("rule", MUTANTS)
def test_without_a_rule_it_does_not(rule: str) -> None:
    first = State(cancels=1, lenient=1) if rule == "lenient_waits" else State()
    assert FlowSearch(RULES - {rule}, first).run() == MUTANTS[rule]


def test_every_rule_is_missed_by_a_mutant_or_said_to_be_unproven() -> None:
    assert MUTANTS.keys() | UNPROVEN.keys() == RULES
    assert not MUTANTS.keys() & UNPROVEN.keys()
