"""
metrics: what happens, as numbers for Prometheus.

A listener of the bus counts events; nothing in the flow of a task counts anything. Each process counts what it does
itself: a worker its runs, a producer its enqueues. Labels are bounded: ``type`` is the pattern of a handler and never a
task's type, which callers choose; no label holds an id or the text of an error.

The numbers are prometheus_client's own, in its default registry unless another is given: so what handlers count by
themselves is on the same page, and so are its numbers about the process. The children of labels are kept here, since
looking one up costs more than counting.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

from msgspec import Struct

from jetq.model.answering import ResponderStarted
from jetq.model.events import (
    ConnectionLost,
    ConnectionRestored,
    DeliveryDiscarded,
    EnqueueFailed,
    Event,
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
from jetq.model.surroundings import CallsWaiting, ProcessEnded, ProcessNotStarted, ProcessReady

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds; prometheus_client's own end at 10, and tasks run and wait for longer."""


class Metric(Struct, frozen=True):
    """
    A metric.

    Attributes:
        name: As Prometheus shows it.
        kind: ``Counter``, ``Gauge`` or ``Histogram``.
        labels: Their names.
        help: What it counts or measures.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Final = (
    Metric("jetq_tasks_enqueued_total", "Counter", ("queue",), "Records of new tasks that this process stored."),
    Metric(
        "jetq_enqueue_errors_total",
        "Counter",
        ("queue", "error"),
        "Tasks that this process did not enqueue, by the class of the error that its caller got.",
    ),
    Metric(
        "jetq_tasks_processed_total",
        "Counter",
        ("queue", "type", "outcome"),
        "Runs that ended here, by the handler's pattern and what happened; type is empty where no handler was found.",
    ),
    Metric("jetq_task_duration_seconds", "Histogram", ("queue", "type"), "How long handlers ran."),
    Metric(
        "jetq_task_wait_seconds",
        "Histogram",
        ("queue",),
        "From when a task could run (its creation, or the time that it was to wait for) to the start of its run.",
    ),
    Metric("jetq_tasks_running", "Gauge", (), "Tasks under way in this worker."),
    Metric("jetq_slots", "Gauge", (), "Tasks that may be under way in this worker at one time."),
    Metric(
        "jetq_deliveries_discarded_total", "Counter", ("queue", "reason"), "Items removed that no handler could see."
    ),
    Metric("jetq_task_updates_total", "Counter", ("state",), "Records that this process wrote with a state."),
    Metric("jetq_update_conflicts_total", "Counter", (), "Writes that lost to somebody else's, and were decided anew."),
    Metric("jetq_leases_lost_total", "Counter", ("queue",), "Runs that another worker took over; their results drop."),
    Metric("jetq_take_overs_total", "Counter", ("queue",), "Tasks that this worker took from dead ones."),
    Metric("jetq_signatures_refused_total", "Counter", ("queue",), "Tasks ended, since nobody trusted signed them."),
    Metric("jetq_janitor_repairs_total", "Counter", ("kind",), "What the janitor of this process mended."),
    Metric(
        "jetq_connection_up",
        "Gauge",
        ("connection",),
        "0 while a connection to the server is lost and not yet renewed, else 1: those of a worker, for its tasks "
        "(worker) and for their leases (lease), that of a server of remote handlers (responder), and that of code that "
        "enqueues or waits (client).",
    ),
    Metric("jetq_reconnects_total", "Counter", ("connection",), "Connections that were lost and renewed."),
    Metric("jetq_loop_blocks_total", "Counter", (), "Times that a handler blocked the event loop for long."),
    Metric("jetq_queue_paused", "Gauge", ("queue",), "1 while a queue of this worker is paused, then 0."),
    Metric("jetq_fetching_stalls_total", "Counter", ("queue",), "Times that the watchdog found tasks not arriving."),
    Metric(
        "jetq_fetching_stalled",
        "Gauge",
        ("queue",),
        "1 while tasks wait in a queue, slots are free, and nothing arrives at this worker, then 0.",
    ),
    Metric("jetq_pool_processes", "Gauge", (), "Processes for handlers that take calls."),
    Metric("jetq_pool_calls_waiting", "Gauge", (), "Calls of handlers that wait for a free process."),
    Metric("jetq_pool_starts_total", "Counter", (), "Processes for handlers that came to take calls."),
    Metric("jetq_pool_start_failures_total", "Counter", (), "Processes for handlers that did not come so far."),
    Metric(
        "jetq_pool_ends_total",
        "Counter",
        ("reason",),
        "Processes for handlers that ended: crash, time_limit, cancel (the handler was told to end and did not), "
        "max_tasks, max_memory or stop (of the worker).",
    ),
)
"""Every metric of a process that runs or enqueues tasks; docs/reference/metrics.md is made of it."""

SUPERVISOR_METRICS: Final = (
    Metric("jetq_children", "Gauge", (), "Child processes of the supervisor that are up."),
    Metric(
        "jetq_child_restarts_total",
        "Counter",
        ("reason",),
        "Children that were replaced: crash, silent, overdue, max_tasks, max_memory, reload or stopped.",
    ),
    Metric("jetq_child_backoffs_total", "Counter", (), "Starts that were put off, of children that keep crashing."),
    Metric(
        "jetq_runs_handed_over_total",
        "Counter",
        ("to",),
        "Runs that dead children left behind: made runnable at once by another child (child), or left until their "
        "leases are over (lease).",
    ),
)
"""What a supervisor counts itself, beside the sum of its children."""


class Metrics:
    """
    A listener that counts: ``app.bus.listen(Metrics())``, once a process.

    Args:
        registry: Of prometheus_client; None is its default one, ``prometheus_client.REGISTRY``.

    Raises:
        ValueError: The registry has metrics of these names already.
    """

    def __init__(self, registry: Any = None) -> None:
        import prometheus_client  # noqa: PLC0415 - costs start-up time that not every process needs to pay

        kept = registry or prometheus_client.REGISTRY
        made: dict[str, Any] = {}
        for metric in METRICS:
            options = {"buckets": BUCKETS} if metric.kind == "Histogram" else {}
            kind = getattr(prometheus_client, metric.kind)
            made[metric.name] = kind(metric.name, metric.help, metric.labels, registry=kept, **options)
        self._running, self._slots = made["jetq_tasks_running"], made["jetq_slots"]
        self._up = made["jetq_connection_up"]
        self._made, self._registry = made, kept

        @cache
        def count(name: str, *labels: str) -> Callable[[], None]:
            child: Any = made[name].labels(*labels) if labels else made[name]
            return child.inc  # type: ignore[no-any-return]  # as prometheus_client makes it

        @cache
        def measure(name: str, *labels: str) -> Callable[[float], None]:
            child: Any = made[name].labels(*labels)
            return child.observe  # type: ignore[no-any-return]  # as prometheus_client makes it

        self._count, self._measure = count, measure

    def watch(self, running: Callable[[], int]) -> None:
        """Let *running* say how many tasks are under way, whenever somebody looks."""
        self._running.set_function(running)

    def forget(self) -> None:
        """Take the metrics out of their registry."""
        for metric in self._made.values():
            self._registry.unregister(metric)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, TaskStateChanged):
            if not event.repeated:
                self._task(event)
            return
        if (count := _COUNTS.get(type(event))) is not None:
            self._count(*count(event))()
        self._process(event)

    def _task(self, event: TaskStateChanged) -> None:
        count, measure, queue = self._count, self._measure, event.queue
        count("jetq_task_updates_total", event.state.value or "unknown")()
        if event.state is State.ACTIVE:
            if event.runnable_since is not None:
                waited = (event.at - event.runnable_since).total_seconds()
                measure("jetq_task_wait_seconds", queue)(max(0.0, waited))
        elif event.outcome:
            count("jetq_tasks_processed_total", queue, event.pattern, event.outcome)()
            if event.duration is not None:
                measure("jetq_task_duration_seconds", queue, event.pattern)(event.duration)
        elif event.state is State.NEW:
            count("jetq_tasks_enqueued_total", queue)()

    def _process(self, event: Event) -> None:
        match event:
            case WorkerStarted():
                self._slots.set(event.slots)
                for connection in ("worker", "lease"):
                    self._up.labels(connection).set(1)
            case ResponderStarted():
                self._up.labels("responder").set(1)
            case ConnectionRestored() | ConnectionLost():
                self._up.labels(event.connection).set(isinstance(event, ConnectionRestored))
            case QueuePaused() | QueueResumed():
                self._made["jetq_queue_paused"].labels(event.queue).set(isinstance(event, QueuePaused))
            case FetchingStalled() | FetchingRestored():
                self._made["jetq_fetching_stalled"].labels(event.queue).set(isinstance(event, FetchingStalled))
            case ProcessReady():
                self._made["jetq_pool_processes"].inc()
            case ProcessEnded():
                self._made["jetq_pool_processes"].dec()
            case CallsWaiting():
                self._made["jetq_pool_calls_waiting"].set(event.waiting)
            case _:
                pass


class SupervisorMetrics:
    """
    A listener that counts what happens to the children of a supervisor.

    Args:
        registry: Of prometheus_client.
    """

    def __init__(self, registry: Any) -> None:
        import prometheus_client  # noqa: PLC0415 - as above

        made: list[Any] = [
            getattr(prometheus_client, metric.kind)(metric.name, metric.help, metric.labels, registry=registry)
            for metric in SUPERVISOR_METRICS
        ]
        self._children, self._restarts, self._backoffs, self._handed_over = made
        for reason in Replacement:
            self._restarts.labels(reason.value)
        for to in ("child", "lease"):
            self._handed_over.labels(to)
        self._ready: set[int] = set()

    def __call__(self, event: Event) -> None:
        """Count an event."""
        match event:
            case ChildReady():
                self._ready.add(event.pid)
            case ChildEnded():
                self._ready.discard(event.pid)
            case ChildReplaced():
                self._restarts.labels(event.reason.value).inc()
            case RestartDelayed():
                self._backoffs.inc()
            case RunsHandedOver():
                self._handed_over.labels("child" if event.heir else "lease").inc(event.runs)
            case _:
                return
        self._children.set(len(self._ready))


_COUNTS: Final[dict[type, Callable[[Any], tuple[str, ...]]]] = {
    EnqueueFailed: lambda event: ("jetq_enqueue_errors_total", event.queue, event.error),
    DeliveryDiscarded: lambda event: ("jetq_deliveries_discarded_total", event.queue, event.reason),
    UpdateConflict: lambda _: ("jetq_update_conflicts_total",),
    RunLost: lambda event: ("jetq_leases_lost_total", event.queue),
    TaskTakenOver: lambda event: ("jetq_take_overs_total", event.queue),
    SignatureRefused: lambda event: ("jetq_signatures_refused_total", event.queue),
    TaskRepaired: lambda event: ("jetq_janitor_repairs_total", event.kind),
    ConnectionRestored: lambda event: ("jetq_reconnects_total", event.connection),
    LoopBlocked: lambda _: ("jetq_loop_blocks_total",),
    FetchingStalled: lambda event: ("jetq_fetching_stalls_total", event.queue),
    ProcessReady: lambda _: ("jetq_pool_starts_total",),
    ProcessNotStarted: lambda _: ("jetq_pool_start_failures_total",),
    ProcessEnded: lambda event: ("jetq_pool_ends_total", event.reason.value),
}
"""The count that an event raises, and its labels."""
