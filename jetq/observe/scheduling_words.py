"""
scheduling_words: what a log says of the work of a scheduler.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from jetq.model.scheduling import (
    ClockDistrusted,
    OccurrenceFailed,
    OccurrenceMade,
    OccurrencesSkipped,
    ScheduleRejected,
    SchedulerFailed,
    SchedulerStarted,
    SchedulerStopped,
    SchedulesDeployed,
)
from jetq.observe.saying import Told, one_line

_SHOWN: Final = 10


def _scheduler_failed(event: SchedulerFailed) -> Told:
    level = logging.ERROR if event.final else logging.WARNING
    words = "no scheduler in this process" if event.final else "schedules were not looked after, it is tried again"
    return level, words, {"error": one_line(event.error)}


def _clock_distrusted(event: ClockDistrusted) -> Told:
    if not event.ahead:
        return logging.INFO, "this machine's clock can be trusted with the schedules again", {}
    words = "this machine's clock differs from the server's too much to lead the schedules"
    return logging.WARNING, words, {"ahead": round(event.ahead, 1)}


def _occurrence_made(event: OccurrenceMade) -> Told:
    fields = {"schedule": event.schedule, "task_id": event.task_id, "late": round(event.late, 3)}
    return logging.DEBUG, "occurrence made", fields


def _occurrences_skipped(event: OccurrencesSkipped) -> Told:
    return logging.WARNING, "occurrences missed, not made up for", {"schedule": event.schedule, "count": event.count}


def _occurrence_failed(event: OccurrenceFailed) -> Told:
    return logging.WARNING, "occurrence not made, tried again", {"schedule": event.schedule, "error": event.error}


def _schedule_rejected(event: ScheduleRejected) -> Told:
    return logging.WARNING, "schedule cannot be used", {"schedule": event.schedule, "reason": one_line(event.reason)}


def _schedules_deployed(event: SchedulesDeployed) -> Told:
    fields = {
        "origin": event.origin,
        "written": _names(event.written),
        "removed": _names(event.removed),
        "refused": _names(event.refused),
    }
    return logging.WARNING if event.refused else logging.INFO, "schedules deployed", fields


def _names(names: tuple[str, ...]) -> str:
    return ",".join([*names[:_SHOWN], *(["..."] if len(names) > _SHOWN else [])])


SCHEDULING_LINES: Final[dict[type, Callable[[Any], Told]]] = {
    SchedulerStarted: lambda event: (logging.INFO, "scheduler started", {"scheduler": event.name}),
    SchedulerStopped: lambda event: (logging.INFO, "scheduler stopped", {"scheduler": event.name}),
    SchedulerFailed: _scheduler_failed,
    ClockDistrusted: _clock_distrusted,
    OccurrenceMade: _occurrence_made,
    OccurrencesSkipped: _occurrences_skipped,
    OccurrenceFailed: _occurrence_failed,
    ScheduleRejected: _schedule_rejected,
    SchedulesDeployed: _schedules_deployed,
}
"""By the kind of event."""
