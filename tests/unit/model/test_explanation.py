"""Why a task does not run: every reason, from facts to a sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq.model.explanation import (
    Cause,
    Facts,
    ParentFacts,
    QueueFacts,
    WorkerFacts,
    explain,
    explain_missing,
)
from jetq.model.flow import FlowState
from jetq.model.record import CancelRequest, Run, TaskRecord
from jetq.model.serving import UNTIL_RESUMED
from jetq.model.state import End, State

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AGO = NOW - timedelta(minutes=5)
LATER = NOW + timedelta(minutes=5)
RUN = Run("W1", 2, "n")
FREE = WorkerFacts(id="W1")
BUSY = QueueFacts(running=3, max_concurrent=3, pending=7)


def record(state: State = State.NEW, **fields: Any) -> TaskRecord:
    return TaskRecord(**({"id": "T1", "type": "mail:new", "queue": "Q", "state": state, "created": AGO} | fields))


def facts(of: TaskRecord, *places: str, **known: Any) -> Facts:
    usual = {"written": AGO, "now": NOW, "queue": QueueFacts(max_concurrent=3, pending=7), "workers": (FREE,)}
    return Facts(record=of, places=places, **(usual | known))


CASES: list[tuple[str, Facts, list[Cause], str]] = [
    (
        "complete",
        facts(record(State.COMPLETE, runs=1, tried=AGO)),
        [Cause.ENDED],
        "It completed 5m ago, after 1 run.",
    ),
    (
        "failed",
        facts(record(State.EXPIRED, end=End.MAX_TRIES, runs=3, last_err="no luck.", tried=AGO)),
        [Cause.ENDED],
        "It ended expired (max_tries) 5m ago, after 3 runs: no luck. jetq tasks retry T1 starts it again.",
    ),
    (
        "cancelled",
        facts(record(State.EXPIRED, end=End.CANCELLED, last_err="cancelled by ops")),
        [Cause.ENDED],
        "It ended cancelled 5m ago, after 0 runs: cancelled by ops. jetq tasks retry T1 starts it again.",
    ),
    (
        "running",
        facts(record(State.ACTIVE, run=RUN, tried=AGO), "queue", runs=True),
        [Cause.RUNNING],
        "It runs since 5m on worker W1 (attempt 2). jetq workers inspect W1 shows what else runs there.",
    ),
    (
        "running_silently",
        facts(record(State.ACTIVE, run=RUN, tried=AGO), "queue"),
        [Cause.RUNNING],
        "Worker W1 runs it since 5m, and does not answer now. jetq workers ping W1 asks again.",
    ),
    (
        "worker_gone",
        facts(record(State.ACTIVE, run=RUN, tried=AGO), "queue", workers=()),
        [Cause.WORKER_LOST, Cause.NO_WORKER],
        "Worker W1, which ran it since 5m, is gone or lost it. Another worker takes it over when the lease is over.",
    ),
    (
        "run_lost",
        facts(record(State.ACTIVE, run=RUN, tried=AGO), "queue", runs=False),
        [Cause.WORKER_LOST],
        "Worker W1, which ran it since 5m, is gone or lost it. Another worker takes it over when the lease is over.",
    ),
    (
        "run_by_go",
        facts(record(State.ACTIVE, tried=AGO), "queue"),
        [Cause.RUNNING_ELSEWHERE],
        (
            "A worker that is no jetq worker runs it since 5m."
            " If that worker died, the task starts again after the run time."
        ),
    ),
    (
        "cancel_requested",
        facts(record(State.ACTIVE, run=RUN, tried=AGO, cancel_requested=CancelRequest("ops")), runs=True),
        [Cause.RUNNING, Cause.CANCEL_REQUESTED],
        "It runs since 5m on worker W1 (attempt 2). jetq workers inspect W1 shows what else runs there.",
    ),
    (
        "blocked_by_one",
        facts(record(State.BLOCKED, pending=("P1",)), parents=(ParentFacts("P1", "retry"),)),
        [Cause.BLOCKED],
        "It waits for the task P1 (retry). jetq explain P1 says what that one waits for.",
    ),
    (
        "blocked_by_many",
        facts(
            record(State.BLOCKED, pending=tuple(f"P{n}" for n in range(7))),
            parents=tuple(ParentFacts(f"P{n}", "new") for n in range(7)),
        ),
        [Cause.BLOCKED],
        (
            "It waits for 7 tasks: P0 (new), P1 (new), P2 (new), P3 (new), P4 (new), and 2 others."
            " jetq explain P0 says what the first of them waits for."
        ),
    ),
    (
        "blocked_by_nothing_any_more",
        facts(record(State.BLOCKED, pending=("P1",)), parents=(ParentFacts("P1", "gone"),)),
        [Cause.BLOCKED],
        (
            "It waits for the task P1 (gone)."
            " A task that is gone counts as failed; who looks after that does so within half a minute."
        ),
    ),
    (
        "about_to_be_released",
        facts(record(State.BLOCKED)),
        [Cause.BLOCKED],
        "What it waited for has ended, and it was not let go yet. Who looks after that does so within half a minute.",
    ),
    (
        "flow_not_committed",
        facts(record(State.BLOCKED, flow="F1", pending=("F1",)), flow=FlowState.BUILDING),
        [Cause.FLOW_NOT_COMMITTED],
        (
            "Its flow F1 is not stored completely yet, and nothing of it runs before that."
            " If who submits it died, all of it ends as abandoned after five minutes."
        ),
    ),
    (
        "flow_abandoned",
        facts(record(State.BLOCKED, flow="F1", pending=("F1",)), flow=FlowState.ABORTED),
        [Cause.FLOW_NOT_COMMITTED],
        (
            "Its flow F1 was abandoned before all of it was stored."
            " Who looks after that ends the task within half a minute."
        ),
    ),
    (
        "flow_gone",
        facts(record(State.BLOCKED, flow="F1", pending=("F1",)), flow=None),
        [Cause.FLOW_NOT_COMMITTED],
        (
            "Its flow F1 was abandoned before all of it was stored."
            " Who looks after that ends the task within half a minute."
        ),
    ),
    (
        "flow_committed_just_now",
        facts(record(State.BLOCKED, flow="F1", pending=("F1",)), flow=FlowState.COMMITTED),
        [Cause.BLOCKED],
        "What it waited for has ended, and it was not let go yet. Who looks after that does so within half a minute.",
    ),
    (
        "blocked_on_tasks_outside_of_its_flow",
        facts(
            record(State.BLOCKED, flow="F1", pending=("F1", "P1", "P2")),
            flow=FlowState.COMMITTED,
            parents=(ParentFacts("F1", "gone"), ParentFacts("P1", "active"), ParentFacts("P2", "new")),
        ),
        [Cause.BLOCKED],
        "It waits for 2 tasks: P1 (active), P2 (new). jetq explain P1 says what the first of them waits for.",
    ),
    (
        "not_due",
        facts(record(due=LATER), "schedule"),
        [Cause.NOT_DUE],
        "It is to start in 5m, not before. jetq tasks run-now T1 lets it wait no longer.",
    ),
    (
        "not_due_and_paused",
        facts(record(due=LATER), "schedule", queue=QueueFacts(paused=LATER)),
        [Cause.NOT_DUE, Cause.QUEUE_PAUSED],
        "It is to start in 5m, not before. jetq tasks run-now T1 lets it wait no longer.",
    ),
    (
        "retry_due",
        facts(record(State.RETRY, due=LATER, tries=2, max_tries=10, last_err="HTTP 503"), "schedule"),
        [Cause.RETRY_DUE],
        "It tries again in 5m, after 2 of 10 tries: HTTP 503. jetq tasks run-now T1 lets it wait no longer.",
    ),
    (
        "waits_for_key",
        facts(record(due=LATER, after="T0"), "schedule"),
        [Cause.WAITS_FOR_KEY],
        "It waits for the end of task T0, which has the same unique key. jetq explain T0 says what that one does.",
    ),
    (
        "queue_full",
        facts(record(due=AGO), "due"),
        [Cause.QUEUE_FULL],
        (
            "Its time has come 5m ago, and its queue Q has no room for it."
            " jetq queues configure Q --max-entries gives it more."
        ),
    ),
    (
        "schedule_missing",
        facts(record(due=LATER)),
        [Cause.MISSING],
        (
            "It waits for its time, and its schedule is missing."
            " The janitor of a worker mends that within ten minutes; jetq tasks repair does it now."
        ),
    ),
    (
        "item_missing",
        facts(record()),
        [Cause.MISSING],
        (
            "Its item is missing in queue Q."
            " The janitor of a worker mends that within ten minutes; jetq tasks repair does it now."
        ),
    ),
    ("under_way", facts(record(), written=NOW), [Cause.QUEUED], "It is on its way into its queue."),
    (
        "refused",
        facts(record(State.QUEUE_ERROR, last_err="the queue is full")),
        [Cause.NOT_QUEUED],
        "It was not put into its queue: the queue is full. Its caller was told; jetq tasks retry T1 queues it now.",
    ),
    (
        "no_queue",
        facts(record(), queue=None),
        [Cause.NO_QUEUE],
        "There is no queue Q. jetq queues add Q creates it, and so does a worker with it.",
    ),
    (
        "paused",
        facts(record(), "queue", queue=QueueFacts(paused=LATER)),
        [Cause.QUEUE_PAUSED],
        "Its queue Q is paused for 5m more. jetq queues resume Q ends that.",
    ),
    (
        "paused_for_good_without_workers",
        facts(record(), "queue", queue=QueueFacts(paused=UNTIL_RESUMED), workers=()),
        [Cause.QUEUE_PAUSED, Cause.NO_WORKER],
        "Its queue Q is paused until it is resumed. jetq queues resume Q ends that.",
    ),
    (
        "deadline_passed",
        facts(record(deadline=AGO), "queue", workers=()),
        [Cause.DEADLINE_PASSED, Cause.NO_WORKER],
        "Its deadline passed 5m ago; the worker that gets it ends it.",
    ),
    (
        "no_worker",
        facts(record(), "queue", workers=()),
        [Cause.NO_WORKER],
        "No worker lives in this namespace. jetq worker MODULE:APP starts one.",
    ),
    (
        "queue_not_served",
        facts(record(), "queue", workers=(WorkerFacts(id="W1", serves=False), WorkerFacts(id="W2", serves=False))),
        [Cause.QUEUE_NOT_SERVED],
        "No live worker serves its queue Q. Start one that does: jetq worker MODULE:APP -Q Q",
    ),
    (
        "type_not_handled",
        facts(record(), "queue", workers=(WorkerFacts(id="W1", handles=False),)),
        [Cause.TYPE_NOT_HANDLED],
        (
            "No worker of its queue has a handler for the type mail:new."
            " It is retried with the reason until a worker knows the type; deploy one with its handler."
        ),
    ),
    (
        "workers_quiet",
        facts(record(), "queue", workers=(WorkerFacts(id="W1", takes=False),)),
        [Cause.WORKERS_QUIET],
        (
            "The workers of its queue take no more tasks: they are quiet, or stopping."
            " Start another one, or stop a quiet one that its supervisor replaces."
        ),
    ),
    (
        "max_concurrent",
        facts(record(), "queue", queue=BUSY),
        [Cause.MAX_CONCURRENT],
        (
            "3 tasks of its queue run, as many as may run at one time."
            " jetq queues configure Q --max-concurrent raises that."
        ),
    ),
    (
        "no_free_slot",
        facts(record(), "queue", workers=(WorkerFacts(id="W1", free=0),)),
        [Cause.NO_FREE_SLOT],
        (
            "All slots of the workers of its queue are taken."
            " jetq workers list shows them; more workers, or a greater -c, help."
        ),
    ),
    (
        "queued",
        facts(record(), "queue"),
        [Cause.QUEUED],
        (
            "It is in queue Q, where 7 items wait, and workers have free slots."
            " It starts as soon as those before it have started."
        ),
    ),
]


@pytest.mark.parametrize(("known", "causes", "first"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_every_reason_has_its_sentence(known: Facts, causes: list[Cause], first: str) -> None:
    found = explain(known)

    assert [reason.cause for reason in found.reasons] == causes
    assert f"{found.reasons[0].text} {found.reasons[0].advice}".rstrip() == first
    assert (found.id, found.type, found.queue) == ("T1", "mail:new", "Q")


def test_a_task_that_is_not_there_is_explained() -> None:
    found = explain_missing("T9")

    assert (found.id, found.state, found.reasons[0].cause) == ("T9", "", Cause.NO_SUCH_TASK)


def test_every_cause_is_tested() -> None:
    assert {cause for case in CASES for cause in case[2]} | {Cause.NO_SUCH_TASK} == set(Cause)
