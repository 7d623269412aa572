"""What a log says of a scheduler's work."""

import logging
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from jetq.model.scheduling import (
    ClockDistrusted,
    OccurrenceFailed,
    OccurrenceMade,
    OccurrencesSkipped,
    ScheduleRejected,
    SchedulerFailed,
    SchedulesDeployed,
    SchedulingEvent,
)
from jetq.observe.scheduling_words import SCHEDULING_LINES
from jetq.observe.words import told

PLANNED = datetime(2026, 1, 2, tzinfo=UTC)


def test_there_are_words_for_each_event() -> None:
    assert set(SCHEDULING_LINES) == set(get_args(SchedulingEvent))


@pytest.mark.parametrize(
    ("event", "level", "fields"),
    [
        (SchedulerFailed(error="no\nway"), logging.WARNING, {"error": "no way"}),
        (SchedulerFailed(error="no", final=True), logging.ERROR, {"error": "no"}),
        (ClockDistrusted(ahead=3600.04), logging.WARNING, {"ahead": 3600.0}),
        (ClockDistrusted(ahead=0.0), logging.INFO, {}),
        (OccurrencesSkipped(schedule="a", count=3), logging.WARNING, {"schedule": "a", "count": 3}),
        (OccurrenceFailed(schedule="a", error="no", kind="E"), logging.WARNING, {"schedule": "a", "error": "no"}),
        (ScheduleRejected(schedule="a", reason="no"), logging.WARNING, {"schedule": "a", "reason": "no"}),
        (
            OccurrenceMade(schedule="a", task_id="a:1", planned=PLANNED, late=0.0123),
            logging.DEBUG,
            {"schedule": "a", "task_id": "a:1", "late": 0.012},
        ),
        (
            SchedulesDeployed(origin="code:shop", written=tuple("abcdefghijkl")),
            logging.INFO,
            {"origin": "code:shop", "written": "a,b,c,d,e,f,g,h,i,j,...", "removed": "", "refused": ""},
        ),
        (
            SchedulesDeployed(origin="code:shop", refused=("a",)),
            logging.WARNING,
            {"origin": "code:shop", "written": "", "removed": "", "refused": "a"},
        ),
    ],
    ids=str,
)
def test_a_line_says_how_bad_it_is_and_what_it_is_about(event: Any, level: int, fields: dict[str, Any]) -> None:
    found, _, said = told(event)

    assert (found, said) == (level, fields)
