"""
scheduler_metrics: the work of a scheduler, as numbers for Prometheus.

No label holds the name of a schedule, of which there may be ten thousand.
"""

from collections.abc import Callable
from typing import Any, Final

from jetq.model.events import Event
from jetq.model.scheduling import (
    OccurrenceFailed,
    OccurrenceMade,
    OccurrencesSkipped,
    ScheduleRejected,
    SchedulerFailed,
)
from jetq.observe.metrics import BUCKETS, Metric

SCHEDULER_METRICS: Final = (
    Metric("jetq_beat_leader", "Gauge", (), "1 while this process leads the schedules, else 0."),
    Metric("jetq_schedules", "Gauge", (), "Stored schedules, where this process leads; else 0."),
    Metric("jetq_schedules_rejected", "Gauge", (), "Stored schedules that cannot be used, where this process leads."),
    Metric("jetq_occurrences_made_total", "Counter", (), "Occurrences that this process found stored and queued."),
    Metric("jetq_occurrences_skipped_total", "Counter", (), "Occurrences that were missed and not made up for."),
    Metric(
        "jetq_schedule_errors_total",
        "Counter",
        ("error",),
        "What went wrong with schedules: the class of the error with which occurrences were not made, rejected for a "
        "stored schedule that cannot be used, scheduler for all of them.",
    ),
    Metric("jetq_schedule_lateness_seconds", "Histogram", (), "From when an occurrence was due until it was queued."),
    Metric(
        "jetq_clock_ahead_seconds", "Gauge", (), "What this machine's clock is ahead of the server's; 0 within 1 s."
    ),
)
"""What a scheduler counts; docs/reference/metrics.md is made of it."""


class SchedulerMetrics:
    """
    A listener that counts what a scheduler does, once a process.

    Args:
        leads, schedules, rejected, clock_ahead: Say how it is, whenever somebody looks.
        registry: Of prometheus_client; None is its default one.
    """

    def __init__(
        self,
        *,
        leads: Callable[[], float],
        schedules: Callable[[], float],
        rejected: Callable[[], float],
        clock_ahead: Callable[[], float],
        registry: Any = None,
    ) -> None:
        import prometheus_client  # noqa: PLC0415 - costs start-up time that not every process needs to pay

        self._registry = registry or prometheus_client.REGISTRY
        self._made: dict[str, Any] = {}
        for metric in SCHEDULER_METRICS:
            options = {"buckets": BUCKETS} if metric.kind == "Histogram" else {}
            kind = getattr(prometheus_client, metric.kind)
            self._made[metric.name] = kind(metric.name, metric.help, metric.labels, registry=self._registry, **options)
        gauges = {
            "jetq_beat_leader": leads,
            "jetq_schedules": schedules,
            "jetq_schedules_rejected": rejected,
            "jetq_clock_ahead_seconds": clock_ahead,
        }
        for name, read in gauges.items():
            self._made[name].set_function(read)

    def forget(self) -> None:
        """Take the metrics out of their registry."""
        for metric in self._made.values():
            self._registry.unregister(metric)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case OccurrenceMade():
                self._made["jetq_occurrences_made_total"].inc()
                self._made["jetq_schedule_lateness_seconds"].observe(max(0.0, event.late))
            case OccurrencesSkipped():
                self._made["jetq_occurrences_skipped_total"].inc(event.count)
            case OccurrenceFailed():
                self._made["jetq_schedule_errors_total"].labels(event.kind).inc()
            case ScheduleRejected():
                self._made["jetq_schedule_errors_total"].labels("rejected").inc()
            case SchedulerFailed():
                self._made["jetq_schedule_errors_total"].labels("scheduler").inc()
            case _:
                pass
