"""Who gets what a dead child had in flight."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from jetq.model.events import Event
from jetq.model.supervision import RunsHandedOver
from jetq.observe.bus import Bus
from jetq.supervisor import hand_over
from jetq.supervisor.child import Death
from jetq.supervisor.hand_over import HandOver
from jetq.wire.in_flight import RunInFlight
from jetq.wire.liveness import Blocked, Inherit

RUNS = [RunInFlight("T1", 1, "n", "Q", 5, "r")]


class Sibling(SimpleNamespace):
    """As much of a child as an heir needs."""

    def __init__(self, pid: int, **changes: Any) -> None:
        now = time.monotonic()
        known: dict[str, Any] = {"ready_at": now, "heard": now, "blocked": None, "leaving": False, "death": None}
        super().__init__(pid=pid, worker=f"W{pid}", sent=[], **(known | changes))
        self.pipe = SimpleNamespace(send=self.sent.append)


def heirs(*children: Sibling) -> list[int]:
    """Return who was asked to take care of a dead worker's runs."""
    handing = HandOver(Bus())
    handing.add("DEAD", "it died", RUNS)
    handing.carry_on(children)  # type: ignore[arg-type]
    return [child.pid for child in children if child.sent]


@pytest.mark.parametrize(
    "worse",
    [
        {"heard": time.monotonic() - 60},
        {"blocked": Blocked(9.0)},
        {"leaving": True},
        {"ready_at": None},
        {"death": Death(-9, 0)},
    ],
    ids=["silent", "blocked", "leaving", "starting", "dead"],
)
def test_the_best_one_is_asked(worse: dict[str, Any]) -> None:
    assert heirs(Sibling(1, **worse), Sibling(2)) == [2]


def test_one_that_leaves_is_better_than_none_and_one_that_starts_is_not() -> None:
    assert heirs(Sibling(1, leaving=True)) == [1]
    assert heirs(Sibling(1, ready_at=None)) == []


def test_the_next_one_is_asked_when_the_first_dies_or_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handing = HandOver(Bus())
    handing.add("DEAD", "it died", RUNS)
    first, second = Sibling(1), Sibling(2)
    for _ in range(3):
        handing.carry_on([first, second])  # type: ignore[list-item]
    assert (first.sent, second.sent) == ([Inherit("DEAD", "it died", RUNS)], [])

    first.death = Death(-9, 0)
    handing.carry_on([first, second])  # type: ignore[list-item]
    assert len(second.sent) == 1
    third = Sibling(3)
    monkeypatch.setattr(hand_over, "_PATIENCE", 0.0)
    handing.carry_on([first, second, third])  # type: ignore[list-item]
    assert len(third.sent) == 1


def test_it_is_told_once_and_then_nobody_is_asked() -> None:
    told: list[Event] = []
    bus = Bus()
    bus.listen(told.append)
    handing, heir = HandOver(bus), Sibling(1)
    handing.add("DEAD", "it died", RUNS)
    handing.carry_on([heir])  # type: ignore[list-item]
    for _ in range(2):
        handing.settled("DEAD", heir)  # type: ignore[arg-type]
    handing.carry_on([Sibling(2)])  # type: ignore[list-item]
    handing.give_up()

    assert told == [RunsHandedOver(dead_worker="DEAD", runs=1, heir="W1")]


def test_what_nobody_took_is_told_at_the_end_unless_it_is_nothing() -> None:
    told: list[Event] = []
    bus = Bus()
    bus.listen(told.append)
    handing = HandOver(bus)
    handing.add("DEAD", "it died", RUNS)
    handing.add("EMPTY", "it died", [])
    handing.give_up()

    assert told == [RunsHandedOver(dead_worker="DEAD", runs=1)]
