"""The garbage collector is calm while a worker works."""

import gc
from collections.abc import Iterator

import pytest

from jetq.model.events import WorkerStarted
from jetq.observe.bus import Bus
from jetq.runtime.collecting import YOUNG, calm_collector

STARTED = WorkerStarted(worker="W1", queues=("Q",), patterns=("a",), slots=3)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_it_looks_seldom_once_a_worker_has_begun_and_as_before_in_the_end() -> None:
    bus, before = Bus(), gc.get_threshold()
    with calm_collector(bus):
        assert gc.get_threshold() == before
        bus.emit(STARTED)
        assert gc.get_threshold() == (YOUNG, *before[1:])
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("young", [0, 5 * YOUNG], ids=["never", "more seldom"])
def test_an_application_that_lets_it_look_more_seldom_has_its_way(young: int) -> None:
    bus = Bus()
    with calm_collector(bus):
        gc.set_threshold(young, 10, 10)
        bus.emit(STARTED)
        assert gc.get_threshold()[0] == young
