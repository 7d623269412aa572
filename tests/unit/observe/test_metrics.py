"""Numbers of what happens: each event counts once, under labels that are bounded."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from jetq.model.events import (
    ConnectionLost,
    ConnectionRestored,
    DeliveryDiscarded,
    EnqueueFailed,
    Event,
    ListenerFailed,
    RunLost,
    SignatureRefused,
    TaskRepaired,
    TaskStateChanged,
    TaskTakenOver,
    UpdateConflict,
    WorkerStarted,
)
from jetq.model.serving import FetchingRestored, FetchingStalled, QueuePaused, QueueResumed
from jetq.model.state import State
from jetq.model.supervision import (
    ChildEnded,
    ChildReady,
    ChildReplaced,
    LoopBlocked,
    Replacement,
    RestartDelayed,
    RunsHandedOver,
)
from jetq.model.surroundings import CallsWaiting, ProcessEnd, ProcessEnded, ProcessNotStarted, ProcessReady
from jetq.observe.bus import Bus
from jetq.observe.metrics import BUCKETS, METRICS, SUPERVISOR_METRICS, Metrics, SupervisorMetrics

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


class Page:
    """What a scrape shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)

    def tell(self, *events: Event) -> "Page":
        for event in events:
            self.metrics(event)
        return self

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def shown(self) -> dict[str, float]:
        """Return every series that is not 0, and not a bucket or a creation time."""
        lines = [line for line in generate_latest(self.registry).decode().splitlines() if not line.startswith("#")]
        pairs = [line.rsplit(" ", 1) for line in lines if "_bucket" not in line and "_created" not in line]
        return {name: float(value) for name, value in pairs if float(value)}


@pytest.fixture
def page() -> Page:
    return Page()


def changed(state: State, **changes: Any) -> TaskStateChanged:
    values: dict[str, Any] = {"task_id": "T1", "task_type": "email:new", "queue": "Q", "state": state, "tries": 1}
    return TaskStateChanged(**(values | {"created": NOW, "at": NOW} | changes))


def test_a_new_task_is_enqueued_and_its_record_updated(page: Page) -> None:
    page.tell(changed(State.NEW), changed(State.NEW, queue="R"), changed(State.NEW))

    assert page.shown() == {
        'jetq_tasks_enqueued_total{queue="Q"}': 2,
        'jetq_tasks_enqueued_total{queue="R"}': 1,
        'jetq_task_updates_total{state="new"}': 3,
    }


def test_a_run_counts_under_its_pattern_and_its_outcome(page: Page) -> None:
    end = {"pattern": "email:*", "worker": "W1"}
    page.tell(
        changed(State.ACTIVE, worker="W1", runnable_since=NOW - timedelta(seconds=2)),
        changed(State.COMPLETE, outcome="succeeded", duration=0.25, **end),
        changed(State.RETRY, outcome="failed", duration=40.0, **end),
        changed(State.RETRY, outcome="unroutable", worker="W1"),
    )

    assert page.shown() == {
        'jetq_task_updates_total{state="active"}': 1,
        'jetq_task_updates_total{state="complete"}': 1,
        'jetq_task_updates_total{state="retry"}': 2,
        'jetq_task_wait_seconds_count{queue="Q"}': 1,
        'jetq_task_wait_seconds_sum{queue="Q"}': 2.0,
        'jetq_tasks_processed_total{outcome="succeeded",queue="Q",type="email:*"}': 1,
        'jetq_tasks_processed_total{outcome="failed",queue="Q",type="email:*"}': 1,
        'jetq_tasks_processed_total{outcome="unroutable",queue="Q",type=""}': 1,
        'jetq_task_duration_seconds_count{queue="Q",type="email:*"}': 2,
        'jetq_task_duration_seconds_sum{queue="Q",type="email:*"}': 40.25,
    }
    assert page.value("jetq_task_duration_seconds_bucket", queue="Q", type="email:*", le="0.25") == 1
    assert page.value("jetq_task_duration_seconds_bucket", queue="Q", type="email:*", le="60.0") == 2


def test_what_is_told_again_counts_once(page: Page) -> None:
    end = changed(State.EXPIRED, end="deadline")
    page.tell(end, changed(State.EXPIRED, end="deadline", repeated=True))

    assert page.shown() == {'jetq_task_updates_total{state="expired"}': 1}


def test_a_start_whose_wait_nobody_knows_measures_none(page: Page) -> None:
    page.tell(changed(State.ACTIVE, worker="W1"))

    assert page.shown() == {'jetq_task_updates_total{state="active"}': 1}


def test_no_wait_is_negative(page: Page) -> None:
    page.tell(changed(State.ACTIVE, worker="W1", runnable_since=NOW + timedelta(seconds=1)))

    assert page.value("jetq_task_wait_seconds_sum", queue="Q") == 0


STANDING = {
    "jetq_slots": 3,
    'jetq_connection_up{connection="worker"}': 1,
    'jetq_connection_up{connection="lease"}': 1,
}
COUNTED: list[tuple[Event, dict[str, float]]] = [
    (
        EnqueueFailed(task_type="x:y", queue="Q", error="QueueFullError"),
        {'jetq_enqueue_errors_total{error="QueueFullError",queue="Q"}': 1},
    ),
    (
        DeliveryDiscarded(queue="Q", reason="not_found"),
        {'jetq_deliveries_discarded_total{queue="Q",reason="not_found"}': 1},
    ),
    (UpdateConflict(task_id="T1", what="claim"), {"jetq_update_conflicts_total": 1}),
    (RunLost(task_id="T1", queue="Q", worker="W1"), {'jetq_leases_lost_total{queue="Q"}': 1}),
    (
        TaskTakenOver(task_id="T1", queue="Q", worker="W1", dead_worker="W0", crashes=1),
        {'jetq_take_overs_total{queue="Q"}': 1},
    ),
    (
        SignatureRefused(task_id="T1", task_type="x:y", queue="Q", worker="W1", reason="not signed"),
        {'jetq_signatures_refused_total{queue="Q"}': 1},
    ),
    (LoopBlocked(worker="W1", seconds=1.0), {"jetq_loop_blocks_total": 1}),
    (ProcessNotStarted(worker="W1", error="x"), {"jetq_pool_start_failures_total": 1}),
    (TaskRepaired(kind="item", task_id="T1"), {'jetq_janitor_repairs_total{kind="item"}': 1}),
    (WorkerStarted(worker="W1", queues=("Q",), patterns=("a",), slots=3), STANDING),
]


@pytest.mark.parametrize(("event", "counted"), COUNTED, ids=lambda value: type(value).__name__)
def test_an_event_counts(page: Page, event: Event, counted: dict[str, float]) -> None:
    assert page.tell(event).shown() == counted
    assert page.tell(event).shown() == {
        name: value if name in STANDING else 2 * value for name, value in counted.items()
    }


def test_each_connection_is_up_or_lost(page: Page) -> None:
    def up() -> list[float | None]:
        return [page.value("jetq_connection_up", connection=name) for name in ("worker", "lease", "client")]

    page.tell(WorkerStarted(worker="W1", queues=("Q",), patterns=("a",), slots=3))
    assert up() == [1, 1, None]

    page.tell(*(ConnectionLost(reason=reason, connection="lease") for reason in ("gone", "still gone")))
    assert up() == [1, 0, None]

    page.tell(ConnectionLost(reason="gone", connection="client"))
    page.tell(ConnectionRestored(server="nats://h:1", generation=2, connection="lease"))
    assert up() == [1, 1, 0]
    assert page.value("jetq_reconnects_total", connection="lease") == 1


def test_a_queue_is_paused_until_it_is_resumed(page: Page) -> None:
    page.tell(QueuePaused(worker="W1", queue="Q", until=None), QueuePaused(worker="W1", queue="Q", until=NOW))
    assert page.shown() == {'jetq_queue_paused{queue="Q"}': 1}

    page.tell(QueueResumed(worker="W1", queue="Q"))
    assert page.value("jetq_queue_paused", queue="Q") == 0


def test_the_watchdogs_finds_are_counted_and_end(page: Page) -> None:
    page.tell(FetchingStalled(worker="W1", queue="Q", reason="x", seconds=10.0))
    assert page.shown() == {'jetq_fetching_stalls_total{queue="Q"}': 1, 'jetq_fetching_stalled{queue="Q"}': 1}

    page.tell(FetchingRestored(worker="W1", queue="Q"))
    assert page.shown() == {'jetq_fetching_stalls_total{queue="Q"}': 1}


def test_processes_for_handlers_are_counted_by_why_they_ended(page: Page) -> None:
    for pid in (1, 2, 3):
        page.tell(ProcessReady(worker="W1", pid=pid, after=0.1))
    for pid, reason in enumerate((ProcessEnd.MAX_TASKS, ProcessEnd.TIME_LIMIT), 1):
        page.tell(ProcessEnded(worker="W1", pid=pid, reason=reason, how="x", calls=1))

    assert page.shown() == {
        "jetq_pool_processes": 1,
        "jetq_pool_starts_total": 3,
        'jetq_pool_ends_total{reason="max_tasks"}': 1,
        'jetq_pool_ends_total{reason="time_limit"}': 1,
    }


def test_calls_that_wait_for_a_process_are_shown_as_of_now(page: Page) -> None:
    page.tell(CallsWaiting(worker="W1", waiting=1), CallsWaiting(worker="W1", waiting=2))
    assert page.value("jetq_pool_calls_waiting") == 2

    page.tell(CallsWaiting(worker="W1", waiting=0))
    assert page.value("jetq_pool_calls_waiting") == 0


def test_what_runs_is_asked_for_when_somebody_looks(page: Page) -> None:
    running = [1, 2]
    page.metrics.watch(lambda: len(running))
    running.append(3)

    assert page.value("jetq_tasks_running") == 3


def test_every_metric_is_there_from_the_start(page: Page) -> None:
    text = generate_latest(page.registry).decode()

    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.help}" in text
    assert all(metric.name.startswith("jetq_") for metric in METRICS)
    assert list(BUCKETS) == sorted(BUCKETS)


def test_the_default_registry_is_that_of_prometheus() -> None:
    metrics = Metrics()
    try:
        metrics(changed(State.NEW, queue="DEFAULTS"))
        assert REGISTRY.get_sample_value("jetq_tasks_enqueued_total", {"queue": "DEFAULTS"}) == 1
        with pytest.raises(ValueError, match="Duplicated timeseries"):
            Metrics()
    finally:
        metrics.forget()
    assert REGISTRY.get_sample_value("jetq_tasks_enqueued_total", {"queue": "DEFAULTS"}) is None


def test_metrics_listen_to_a_bus(page: Page) -> None:
    bus = Bus()
    forget = bus.listen(page.metrics)
    bus.emit(changed(State.NEW))
    forget()
    bus.emit(changed(State.NEW))

    assert page.value("jetq_tasks_enqueued_total", queue="Q") == 1


def test_a_supervisor_counts_its_children_and_why_they_were_replaced() -> None:
    registry = CollectorRegistry()
    metrics = SupervisorMetrics(registry)
    for pid in (1, 2):
        metrics(ChildReady(pid=pid, place=1, worker="W", after=0.1))
    metrics(ChildReplaced(pid=1, place=1, reason=Replacement.SILENT))
    metrics(ChildEnded(pid=1, place=1, worker="W", how="", uptime=1.0))
    metrics(ListenerFailed(listener="x", error="y"))

    assert registry.get_sample_value("jetq_children") == 1
    assert registry.get_sample_value("jetq_child_restarts_total", {"reason": "silent"}) == 1
    assert {
        registry.get_sample_value("jetq_child_restarts_total", {"reason": reason})
        for reason in set(Replacement) - {"silent"}
    } == {0}


def test_a_supervisor_counts_what_it_put_off_and_what_was_handed_over() -> None:
    registry = CollectorRegistry()
    metrics = SupervisorMetrics(registry)

    def handed(to: str) -> float | None:
        return registry.get_sample_value("jetq_runs_handed_over_total", {"to": to})

    assert (handed("child"), handed("lease")) == (0, 0)
    metrics(RestartDelayed(place=1, after=2.0))
    metrics(RunsHandedOver(dead_worker="W1", runs=3, heir="W2"))
    metrics(RunsHandedOver(dead_worker="W2", runs=2))

    assert registry.get_sample_value("jetq_child_backoffs_total") == 1
    assert (handed("child"), handed("lease")) == (3, 2)


def test_the_supervisors_metrics_are_not_the_processes() -> None:
    assert not {metric.name for metric in SUPERVISOR_METRICS} & {metric.name for metric in METRICS}
