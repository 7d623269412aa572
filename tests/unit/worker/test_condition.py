"""How a worker is, from what its parts say."""

import pytest

from jetq.model.events import ConnectionLost, ConnectionRestored
from jetq.model.running import WorkerState
from jetq.observe.bus import Bus
from jetq.wire.health import SchedulerHealth
from jetq.wire.liveness import Blocked
from jetq.worker.condition import Condition

BLOCKED = Blocked(3.04, "T1", "mail:new", "File shop.py")


class Set:
    """A condition, and what it is made of."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.state = WorkerState.WORKING
        self.condition = Condition("W1", lambda: self.state, self.bus)


@pytest.fixture
def worker() -> Set:
    made = Set()
    made.condition.begin()
    return made


def test_a_worker_that_has_not_begun_is_live_and_not_ready() -> None:
    health = Set().condition.health()

    assert (health.live, health.ready, health.state) == (True, False, "starting")


def test_a_worker_at_work_is_ready(worker: Set) -> None:
    worker.condition.look(3, None, "")

    health = worker.condition.health()

    assert (health.live, health.ready, health.reasons, health.running) == (True, True, [], 3)


@pytest.mark.parametrize("state", [WorkerState.QUIET, WorkerState.STOPPING])
def test_a_worker_that_takes_no_more_is_live_and_not_ready(worker: Set, state: WorkerState) -> None:
    worker.state = state

    health = worker.condition.health()

    assert (health.live, health.ready, len(health.reasons)) == (True, False, 1)


def test_a_lost_connection_counts_until_it_is_back(worker: Set) -> None:
    worker.bus.emit(ConnectionLost(reason="refused", connection="lease"))
    assert worker.condition.reasons() == ["the connection for their leases is lost: refused"]

    worker.bus.emit(ConnectionRestored(server="nats://h:1", generation=2, connection="lease"))
    assert worker.condition.health().ready


def test_a_blocked_loop_is_named_and_takes_no_tasks(worker: Set) -> None:
    worker.condition.look(1, BLOCKED, "")

    health = worker.condition.health()

    assert (health.live, health.ready, health.blocked) == (True, False, BLOCKED)
    assert health.reasons == ["the handler mail:new of task T1 blocks the event loop for 3.0 s"]


def test_a_handler_that_blocks_the_loop_beyond_its_limit_is_the_end(worker: Set) -> None:
    worker.condition.look(1, BLOCKED, "mail:new T1 runs on 5 s beyond its limit")

    assert not worker.condition.health().live


def test_a_handler_beyond_its_limit_that_blocks_nothing_lets_others_work(worker: Set) -> None:
    worker.condition.look(1, None, "mail:new T1 runs on 5 s beyond its limit")

    health = worker.condition.health()

    assert (health.live, health.ready) == (True, True)
    assert health.reasons == ["mail:new T1 runs on 5 s beyond its limit"]


def test_a_silent_lease_thread_is_the_end(worker: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.condition.look(0, None, "")
    monkeypatch.setattr("jetq.worker.condition._SILENT", 0.0)

    health = worker.condition.health()

    assert (health.live, health.ready) == (False, False)


def scheduler(*reasons: str, live: bool = True) -> SchedulerHealth:
    return SchedulerHealth(
        live=live,
        ready=not reasons,
        reasons=list(reasons),
        scheduler="S1",
        pid=1,
        leads=False,
        schedules=0,
        rejected={},
        clock_ahead=0.0,
    )


def test_a_worker_with_a_scheduler_is_ready_when_both_are(worker: Set) -> None:
    said = scheduler()
    worker.condition.scheduler = lambda: said
    both = worker.condition.health()

    said = scheduler("the connection is lost")
    one = worker.condition.health()

    assert (both.ready, both.live, both.scheduler) == (True, True, scheduler())
    assert (one.ready, one.live, one.scheduler) == (False, True, said)
    assert one.reasons == worker.condition.reasons() == ["its scheduler: the connection is lost"]


def test_a_worker_with_a_scheduler_that_is_stuck_is_not_live(worker: Set) -> None:
    worker.condition.scheduler = lambda: scheduler("it gave no sign of life for 30 s", live=False)

    assert not worker.condition.health().live
