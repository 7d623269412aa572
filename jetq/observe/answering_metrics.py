"""
answering_metrics: the work of a server of remote handlers, as numbers for Prometheus.

As elsewhere, ``type`` is the pattern of a handler and never a task's type, which callers choose.
"""

from collections.abc import Callable
from typing import Any, Final

from jetq.model.answering import Refusal, RequestAnswered, RequestRefused, ResponderStarted
from jetq.model.events import Event
from jetq.observe.metrics import BUCKETS, Metric

ANSWERING_METRICS: Final = (
    Metric(
        "jetq_requests_answered_total",
        "Counter",
        ("type", "outcome"),
        "Requests that a handler ran for, by its pattern and what happened.",
    ),
    Metric(
        "jetq_requests_refused_total",
        "Counter",
        ("reason",),
        "Requests that no handler ran for: malformed, late, busy, signature or unroutable.",
    ),
    Metric("jetq_request_duration_seconds", "Histogram", ("type",), "How long handlers ran for requests."),
    Metric("jetq_requests_running", "Gauge", (), "Handlers that run for requests."),
    Metric("jetq_requests_waiting", "Gauge", (), "Requests that wait for a slot."),
    Metric("jetq_request_slots", "Gauge", (), "Handlers that may run for requests at one time."),
)
"""What a server of remote handlers counts; docs/reference/metrics.md is made of it."""


class AnsweringMetrics:
    """
    A listener that counts what a server of remote handlers does, once a process.

    Args:
        running, waiting: Say how it is, whenever somebody looks.
        registry: Of prometheus_client; None is its default one.
    """

    def __init__(self, *, running: Callable[[], int], waiting: Callable[[], int], registry: Any = None) -> None:
        import prometheus_client  # noqa: PLC0415 - costs start-up time that not every process needs to pay

        self._registry = registry or prometheus_client.REGISTRY
        self._made: dict[str, Any] = {}
        for metric in ANSWERING_METRICS:
            options = {"buckets": BUCKETS} if metric.kind == "Histogram" else {}
            kind = getattr(prometheus_client, metric.kind)
            self._made[metric.name] = kind(metric.name, metric.help, metric.labels, registry=self._registry, **options)
        for reason in Refusal:
            self._made["jetq_requests_refused_total"].labels(reason.value)
        self._made["jetq_requests_running"].set_function(running)
        self._made["jetq_requests_waiting"].set_function(waiting)

    def forget(self) -> None:
        """Take the metrics out of their registry."""
        for metric in self._made.values():
            self._registry.unregister(metric)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case RequestAnswered():
                self._made["jetq_requests_answered_total"].labels(event.pattern, event.outcome).inc()
                self._made["jetq_request_duration_seconds"].labels(event.pattern).observe(event.duration)
            case RequestRefused():
                self._made["jetq_requests_refused_total"].labels(event.reason.value).inc()
            case ResponderStarted():
                self._made["jetq_request_slots"].set(event.slots)
            case _:
                pass
