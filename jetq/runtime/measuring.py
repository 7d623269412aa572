"""
measuring: let a scheduler's work be counted while it runs.
"""

import contextlib
from collections.abc import Generator

from jetq.app.application import App
from jetq.beat.beat import Beat
from jetq.observe.scheduler_metrics import SchedulerMetrics


@contextlib.contextmanager
def measured_scheduler(app: App, beat: Beat) -> Generator[None, None, None]:
    """Count what *beat* does, in the default registry."""
    metrics = SchedulerMetrics(
        leads=lambda: float(beat.leads),
        schedules=lambda: beat.schedules,
        rejected=lambda: beat.rejected,
        clock_ahead=lambda: beat.clock_ahead,
    )
    forget = app.bus.listen(metrics)
    try:
        yield
    finally:
        forget()
        metrics.forget()
