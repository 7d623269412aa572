"""
The protocol's rules, walked over all interleavings with bounded faults.

What is modelled: per task the record (with its sequence), the item (at most one; its stream sequence, the record
sequence in its body, leased or free), the schedule, the due message, the marker; keys. Two workers with one delivery
each; producers, operators, cancellers, the janitor, the safety pass, leaders of the schedules. One step is one
request to the server taking effect (and its answer arriving, unless it is lost), or one local decision.

Faults, all bounded: any actor crashes between two steps; a worker is paused (a partition, a stopped machine: it does
nothing, its lease and presence may end, later it goes on); the server forgets leases; a request times out with effect,
without, or with an effect at some later moment.

Time is left out, but for this: a worker that lives and renews keeps its lease; a delivery that is looked at is left
before its lease ends; the presence of a live worker is there when somebody concludes from its absence. A lease that
nobody renews, and the presence of what is dead or paused, may end at any moment; schedules fire at any moment after
they are stored.

Properties: I1 from every state a way without further faults leads to "every acknowledged task is final, and no item,
schedule, due message or marker is left". I2 a final record changes only by an operator's retry, and a result is
written by the run that the record holds. I3 no second handler starts beside one whose worker lives and was never
paused. I5 two tasks of one key are never both able to run. I6 a child starts only after all of its parents are
complete. I7 two tasks of a key of which the latest runs are never both active. I8 a task that moved to another queue
is claimed there alone; only a run that died is taken over through an item that was left in the other one.

Not modelled: Go's workers, flows (they have a world of their own, `tests.model.flows`), children that wait again for a
retried parent, dependents of dependents, full queues, the hand-over of a dead child process, TTLs, sizes, stale reads,
more than two workers or one delivery a worker, tries that an operator's retry sets back. That presence is back within
5 s of a crash of the server is assumed.
"""

import pytest

from tests.model.scenario import DESIGN, MISTAKES
from tests.model.scenarios import HOLDS, LIMITS, MUTANTS, SCENARIOS, UNPROVEN
from tests.model.search import Search


def marked(names: list[str]) -> list[object]:
    marks = {False: [pytest.mark.timeout(600)], True: [pytest.mark.nightly, pytest.mark.timeout(1200)]}
    return [pytest.param(name, marks=marks[SCENARIOS[name].nightly], id=name) for name in names]


@pytest.mark.parametrize("name", marked([sc.name for sc in HOLDS]))
def test_the_design_holds(name: str) -> None:
    found = Search(SCENARIOS[name]).run()

    assert found.verdict == "holds", "\n".join(found.traces)


@pytest.mark.parametrize("name", marked([sc.name for sc in LIMITS]))
def test_a_known_limit_shows(name: str) -> None:
    assert Search(SCENARIOS[name]).run().verdict == SCENARIOS[name].expect


@pytest.mark.parametrize("name", marked([sc.name for sc in MUTANTS]))
def test_a_mutant_is_found_and_its_way_told(name: str) -> None:
    found = Search(SCENARIOS[name]).run()

    assert found.verdict == SCENARIOS[name].expect
    assert all("\n   1. " in trace for trace in found.traces)
    assert found.traces


def test_every_rule_is_missed_by_a_mutant_or_said_to_be_unproven() -> None:
    missed = {rule for sc in MUTANTS for rule in DESIGN - sc.rules}

    assert missed | UNPROVEN.keys() == DESIGN
    assert not missed & UNPROVEN.keys()


def test_every_mistake_has_its_mutant() -> None:
    assert {rule for sc in MUTANTS for rule in sc.rules - DESIGN} == MISTAKES


def test_all_of_the_design_is_in_force_where_it_must_hold() -> None:
    assert all(sc.rules == DESIGN for sc in (*HOLDS, *LIMITS))
    assert all(sc.expect == "holds" for sc in HOLDS)


def test_a_search_that_is_cut_short_proves_nothing() -> None:
    assert Search(SCENARIOS["success"], max_states=1000).run().verdict == "unfinished"
