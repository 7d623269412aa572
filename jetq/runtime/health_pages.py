"""
health_pages: ``--health``: how a worker is, a supervisor with its children, a scheduler, or a server, over HTTP.

``/livez`` says whether the process can go on, ``/readyz`` whether it does its work or would, ``/metrics`` is for
Prometheus. A status of 503 says no; the reasons are in the body.
"""

import contextlib
import time
from collections.abc import Callable, Generator
from typing import Any, Final

from jetq.observe.exposition import serve_metrics
from jetq.observe.logs import Log
from jetq.observe.pages import Pages, json_page, metrics_page, serve_pages
from jetq.supervisor.child import Child
from jetq.supervisor.supervisor import Supervisor
from jetq.wire.health import ResponderHealth, SchedulerHealth, SupervisorHealth, WorkerHealth

_STUCK: Final = 10.0
"""Seconds without a turn of its loop, which turns four times a second, after which a supervisor counts as stuck."""
_BEGINNING: Final = SupervisorHealth(live=True, ready=False, reasons=["it has not begun"], children=[])

Report = Callable[[], WorkerHealth | SupervisorHealth | SchedulerHealth | ResponderHealth]


@contextlib.contextmanager
def serve_health(
    address: tuple[str, int] | None, report: Report, log: Log, *, registry: Any = None
) -> Generator[None, None, None]:
    """
    Serve the pages, if there is an address.

    Args:
        address: Host and port; None serves nothing.
        report: Says how it is; called in any thread.
        log: Told the URL.
        registry: Of the metrics; None is prometheus_client's default one.

    Raises:
        ListenError: Nobody can listen there.
    """
    if address is None:
        yield
        return
    with serve_pages(*address, pages_of(report, registry)) as url:
        log.info("health served", url=url)
        yield


@contextlib.contextmanager
def serve_numbers_and_health(
    metrics: tuple[str, int] | None,
    health: tuple[str, int] | None,
    report: Report,
    log: Log,
    counting: contextlib.AbstractContextManager[None],
) -> Generator[None, None, None]:
    """
    Serve what a process without children counts, and how it is, as far as there are addresses.

    Args:
        metrics: Host and port for Prometheus; None serves nothing.
        health: Host and port of the pages, which have the metrics too; None serves nothing.
        report: Says how it is; called in any thread.
        log: Told the URLs.
        counting: Counts in the default registry; entered where somebody may read it.

    Raises:
        ListenError: Nobody can listen there.
    """
    with contextlib.ExitStack() as pages:
        if metrics is not None or health is not None:
            pages.enter_context(counting)
        if metrics is not None:
            log.info("metrics served", url=pages.enter_context(serve_metrics(*metrics)))
        pages.enter_context(serve_health(health, report, log))
        yield


def pages_of(report: Report, registry: Any = None) -> Pages:
    """Return the pages by their paths."""

    def live() -> Any:
        found = report()
        return json_page(found, good=found.live)

    def ready() -> Any:
        found = report()
        return json_page(found, good=found.live and found.ready)

    return {"/livez": live, "/readyz": ready, "/metrics": lambda: metrics_page(registry)}


class ChildrenReport:
    """Says how a supervisor is, and its children, by their last words."""

    def __init__(self) -> None:
        self._supervisor: Supervisor | None = None

    def watch(self, supervisor: Supervisor) -> None:
        """Say from now on how this one is."""
        self._supervisor = supervisor

    def __call__(self) -> SupervisorHealth:
        """Return how it is."""
        supervisor = self._supervisor
        if supervisor is None:
            return _BEGINNING
        children = [_health_of(child) for child in supervisor.children]
        silent = time.monotonic() - supervisor.turned
        live, ready = silent < _STUCK, any(child.ready for child in children)
        reasons = [] if live else [f"the supervisor looked after nobody for {silent:.0f} s"]
        if not ready:
            reasons += [f"child {child.pid}: {reason}" for child in children for reason in child.reasons]
            reasons = reasons or ["there is no child"]
        return SupervisorHealth(live=live, ready=ready, reasons=reasons, children=children)


def _health_of(child: Child) -> WorkerHealth:
    silent = time.monotonic() - child.heard
    reasons = list(child.reasons)
    if child.ready_at is None:
        reasons = ["it has not begun to take tasks"]
    elif child.leaving:
        reasons = ["it is stopping", *reasons]
    elif silent > _STUCK:
        reasons.append(f"it gave no sign of life for {silent:.0f} s")
    return WorkerHealth(
        live=child.death is None and not child.killed_for,
        ready=not reasons,
        reasons=list(dict.fromkeys(reasons)),
        worker=child.worker,
        pid=child.pid,
        state="stopping" if child.leaving else "working" if child.ready_at is not None else "starting",
        running=child.running,
        blocked=child.blocked,
        overdue=child.overdue,
    )
