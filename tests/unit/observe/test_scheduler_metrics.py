"""A scheduler's work as numbers."""

from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from jetq.model.scheduling import (
    OccurrenceFailed,
    OccurrenceMade,
    OccurrencesSkipped,
    ScheduleRejected,
    SchedulerFailed,
    SchedulerStarted,
)
from jetq.observe.scheduler_metrics import SCHEDULER_METRICS, SchedulerMetrics

PLANNED = datetime(2026, 1, 2, tzinfo=UTC)


def made() -> tuple[CollectorRegistry, SchedulerMetrics]:
    registry = CollectorRegistry()
    metrics = SchedulerMetrics(
        leads=lambda: 1, schedules=lambda: 7, rejected=lambda: 2, clock_ahead=lambda: -1.5, registry=registry
    )
    return registry, metrics


def test_how_it_is_is_asked_when_somebody_looks() -> None:
    registry, _ = made()

    names = ("jetq_beat_leader", "jetq_schedules", "jetq_schedules_rejected", "jetq_clock_ahead_seconds")
    assert [registry.get_sample_value(name) for name in names] == [1, 7, 2, -1.5]


def test_what_happens_is_counted() -> None:
    registry, metrics = made()
    late = OccurrenceMade(schedule="a", task_id="a:1", planned=PLANNED, late=0.02)
    early = OccurrenceMade(schedule="a", task_id="a:2", planned=PLANNED, late=-0.1)
    for event in (
        late,
        early,
        OccurrencesSkipped(schedule="a", count=12),
        OccurrenceFailed(schedule="a", error="no", kind="QueueFullError"),
        ScheduleRejected(schedule="b", reason="no"),
        SchedulerFailed(error="no"),
        SchedulerStarted(name="x"),
    ):
        metrics(event)

    assert registry.get_sample_value("jetq_occurrences_made_total") == 2
    assert registry.get_sample_value("jetq_occurrences_skipped_total") == 12
    assert registry.get_sample_value("jetq_schedule_lateness_seconds_sum") == 0.02
    errors = {
        error: registry.get_sample_value("jetq_schedule_errors_total", {"error": error})
        for error in ("QueueFullError", "rejected", "scheduler")
    }
    assert set(errors.values()) == {1}


def test_they_can_be_taken_out_again() -> None:
    registry, metrics = made()
    metrics.forget()

    assert [metric.name for metric in SCHEDULER_METRICS if registry.get_sample_value(metric.name) is not None] == []
