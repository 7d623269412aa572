"""A cancelled child that is retried comes to its end whoever dies, and each of the rules for that is needed."""

import pytest

from tests.model.rejoining import COMPLETE, MUTANTS, RULES, WORLDS, RejoinSearch, State


@pytest.mark.parametrize("world", WORLDS)
def test_a_cancelled_child_that_is_retried_comes_to_its_end(world: str) -> None:
    search = RejoinSearch(first=WORLDS[world]())
    assert search.run() == "holds"
    assert search.states > 100


@pytest.mark.parametrize("rule", sorted(RULES))
def test_without_a_rule_it_does_not(rule: str) -> None:
    assert RejoinSearch(RULES - {rule}, State(parent=COMPLETE)).run() == MUTANTS[rule]
