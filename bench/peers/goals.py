"""
goals: what jetq is to reach beside the others, computed from one run.

Each ratio is that of single repetitions. The best of the others, which are Python's, is found by the medians of
the run; asyncjobs in Go has a goal of its own.
"""

from collections.abc import Iterable
from typing import Final

from bench.peers.registry import ASYNCJOBS, BARE, CELERY, CELERY_THREADS, FASTSTREAM, JETQ, JETQ_UVLOOP, OURS
from bench.sheet import Goal, Sheet, ratios

DRAIN, CPU, SERVER_CPU = "drain, tasks/s", "worker CPU, µs/task", "server CPU, µs/task"
SINGLE, BLOCKING = "one by one, tasks/s", "blocking, tasks/s"
ABREAST, BULK = "100 in flight, tasks/s", "bulk call, tasks/s"
START, START_P99, ROUND_TRIP = "start p50, ms", "start p99, ms", "round trip p50, ms"
RSS, IDLE_CPU = "idle RSS, MiB", "idle CPU, %"
THROUGHPUT: Final = [DRAIN, CPU, SERVER_CPU, SINGLE, BLOCKING, ABREAST, BULK]
WAITING: Final = [START, START_P99, ROUND_TRIP, RSS, IDLE_CPU]


def goals(sheet: Sheet, storing: Iterable[str]) -> list[Goal]:
    """Return all goals; *storing* are the peers that store results."""
    found = _of(sheet, JETQ, storing)
    if sheet.row(JETQ_UVLOOP) is not None:
        found += [_named(goal) for goal in _of(sheet, JETQ_UVLOOP, storing) if _is_about_speed(goal)]
    return found


def _of(sheet: Sheet, ours: str, storing: Iterable[str]) -> list[Goal]:
    others = [row.label for row in sheet.rows if row.label not in {*OURS, ASYNCJOBS}]
    stored = [label for label in storing if label in others]
    many = [(label, column) for label in others for column in (BULK, ABREAST)]

    def against(column: str, measure: str, bound: float, others: list[tuple[str, str]]) -> Goal:
        at_least = column not in WAITING
        return _goal(sheet, (ours, column), measure, bound=bound, others=others, at_least=at_least)

    blocking = 2 if ours == JETQ_UVLOOP else 1.3
    return [
        against(DRAIN, "worker drain ÷ bare loop", 0.70, [(BARE, DRAIN)]),
        against(BULK, "enqueue_many ÷ bare loop", 0.75, [(BARE, BULK)]),
        against(DRAIN, "drain ÷ best that stores results", 3, [(label, DRAIN) for label in stored]),
        against(DRAIN, "drain ÷ FastStream, which stores nothing", 1, [(FASTSTREAM, DRAIN)]),
        against(DRAIN, "drain ÷ Celery's best pool", 8, [(label, DRAIN) for label in CELERY]),
        against(DRAIN, "drain ÷ asyncjobs in Go", 1, [(ASYNCJOBS, DRAIN)]),
        against(START, "start p50 ÷ best", 1.3, [(label, START) for label in others]),
        against(ROUND_TRIP, "round trip p50 ÷ best", 0.6, [(label, ROUND_TRIP) for label in others]),
        against(BLOCKING, "enqueue() ÷ Celery's delay(), calls/s", blocking, [(each, BLOCKING) for each in CELERY]),
        against(BULK, "enqueue_many ÷ best of many at once", 1, many),
        against(RSS, "RSS of an idle worker ÷ Celery's with threads", 1, [(CELERY_THREADS, RSS)]),
    ]


def _goal(
    sheet: Sheet,
    ours: tuple[str, str],
    measure: str,
    *,
    bound: float,
    others: list[tuple[str, str]],
    at_least: bool = True,
) -> Goal:
    """Compare a cell of ours with the best of some."""
    told = [(figure.median, other) for other in others if (figure := sheet.figure(*other)) is not None]
    if not told:
        return Goal(measure, bound, at_least, [])
    _, (label, its_column) = max(told) if at_least else min(told)
    reached = ratios(sheet.values(*ours), sheet.values(label, its_column))
    return Goal(measure, bound, at_least, reached, beside=label if len(others) > 1 else "")


def _is_about_speed(goal: Goal) -> bool:
    return "bare loop" not in goal.measure and "RSS" not in goal.measure


def _named(goal: Goal) -> Goal:
    return Goal(f"uvloop: {goal.measure}", goal.bound, goal.at_least, goal.reached, goal.beside)
