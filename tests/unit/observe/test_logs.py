"""Events become lines, and lines carry the names of the run that wrote them."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from jetq.model.answering import (
    Refusal,
    RequestAnswered,
    RequestRefused,
    ResponderStarted,
    ResponderStopped,
    ResponderStopping,
)
from jetq.model.events import (
    AccessDenied,
    AttemptFailed,
    ClockSkewed,
    ConnectionLost,
    ConnectionRestored,
    DeliveryDiscarded,
    EnqueueFailed,
    Event,
    JanitorFailed,
    JanitorPassed,
    LeaderElected,
    LeadershipEnded,
    ListenerFailed,
    RunLost,
    SignatureRefused,
    TaskDeduplicated,
    TaskProgressed,
    TaskRepaired,
    TaskStateChanged,
    TaskTakenOver,
    TopologyChanged,
    UpdateConflict,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
)
from jetq.model.progress import make_progress
from jetq.model.record import ErrorInfo
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
from jetq.model.serving import FetchingRestored, FetchingStalled, QueuePaused, QueueResumed, WorkerQuieted
from jetq.model.state import State
from jetq.model.supervision import (
    ChildEnded,
    ChildReady,
    ChildReplaced,
    ChildStarted,
    LoopBlocked,
    ReloadEnded,
    Replacement,
    RestartDelayed,
    RunsHandedOver,
    SupervisorLost,
)
from jetq.model.surroundings import CallsWaiting, HookFailed, ProcessEnd, ProcessEnded, ProcessNotStarted, ProcessReady
from jetq.observe.logs import EventLog, Line, Log, LogFormat, configure
from jetq.observe.scope import TaskScope, current_scope

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
SCOPE = TaskScope("T1", "email:new", "EMAIL", 3, "W1")
NAMES = {"task_id": "T1", "task_type": "email:new", "queue": "EMAIL", "attempt": 3, "worker": "W1"}


@pytest.fixture
def bare_root() -> Iterator[logging.Logger]:
    """Give a root logger as a new process has it, and put pytest's back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield root
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def set_up(root: logging.Logger, log_format: LogFormat, *, level: str = "debug", colors: bool = False) -> io.StringIO:
    """Let the process log, and return where to."""
    root.handlers[:] = []
    written = io.StringIO()
    assert configure(level, log_format, stream=written, colors=colors)
    return written


@pytest.fixture
def stream(bare_root: logging.Logger) -> io.StringIO:
    """Give what a process writes that logs JSON at debug level."""
    return set_up(bare_root, "json")


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def changed(state: State, **changes: Any) -> TaskStateChanged:
    values: dict[str, Any] = {"task_id": "T1", "task_type": "email:new", "queue": "EMAIL", "state": state, "tries": 2}
    return TaskStateChanged(**(values | {"created": NOW, "at": NOW, "worker": "W1"} | changes))


FAILURE = {"last_err": "ValueError: no\nluck", "error": ErrorInfo("ValueError", "no luck", "Traceback\n  here\n")}

STATES = [
    (changed(State.NEW), "debug", "task enqueued"),
    (changed(State.BLOCKED), "debug", "task waits for others"),
    (changed(State.ACTIVE), "debug", "task started"),
    (changed(State.COMPLETE, duration=0.5), "debug", "task succeeded"),
    (changed(State.RETRY, outcome="failed", due=NOW, **FAILURE), "warning", "task retries"),
    (changed(State.RETRY, outcome="snoozed", due=NOW), "debug", "task snoozed"),
    (changed(State.RETRY, outcome="interrupted"), "info", "task released"),
    (changed(State.TERMINATED, end="terminated", last_err="no"), "error", "task terminated"),
    (changed(State.EXPIRED, end="max_tries", **FAILURE), "error", "task expired"),
    (changed(State.EXPIRED, end="cancelled"), "warning", "task cancelled"),
    (changed(State.UNREACHABLE), "error", "task unreachable"),
    (changed(State.QUEUE_ERROR), "warning", "task queue_error"),
    (changed(State.TERMINATED, end="crash", repeated=True), "debug", "task told again"),
]

OTHERS: list[tuple[Event, str, str]] = [
    (DeliveryDiscarded(queue="Q", reason="not_found", task_id="T1"), "warning", "delivery discarded"),
    (AttemptFailed(queue="Q", error="refused"), "warning", "delivery left"),
    (AttemptFailed(queue="", error="Traceback", unexpected=True), "error", "delivery left, a defect of jetq"),
    (AccessDenied(subject="a.b", action="publish"), "warning", "access denied"),
    (ClockSkewed(ahead=3600.0), "warning", "this machine's clock differs from the server's, whose time is used"),
    (ClockSkewed(ahead=0.0), "info", "this machine's clock agrees with the server's again"),
    (RunLost(task_id="T1", queue="Q", worker="W1"), "warning", "run lost, its result is dropped"),
    (UpdateConflict(task_id="T1", what="claim"), "debug", "update conflict, decided anew"),
    (EnqueueFailed(task_type="x:y", queue="Q", error="QueueFullError"), "debug", "task not enqueued"),
    (
        SignatureRefused(task_id="T1", task_type="x:y", queue="Q", worker="W1", reason="not signed"),
        "warning",
        "signature refused",
    ),
    (
        TaskTakenOver(task_id="T1", queue="Q", worker="W1", dead_worker="W0", crashes=1),
        "warning",
        "task taken over from a dead worker",
    ),
    (
        TaskProgressed(
            task_id="T1", task_type="x:y", queue="Q", worker="W1", attempt=1, progress=make_progress(1, 2, "x", NOW)
        ),
        "debug",
        "task progresses",
    ),
    (
        TaskDeduplicated(task_id="T1", task_type="x:y", queue="Q", key="x:y k", mode="unfinished"),
        "debug",
        "task is there already",
    ),
    (
        TaskDeduplicated(task_id="T1", task_type="x:y", queue="Q", key="x:y k", mode="replace", replaced=True),
        "debug",
        "task replaced",
    ),
    (LeaderElected(component="janitor", name="W1", at=NOW), "info", "leader elected"),
    (ListenerFailed(listener="x", error="y"), "error", "listener failed"),
    (ConnectionLost(reason="gone"), "warning", "connection lost"),
    (ConnectionRestored(server="nats://h:1", generation=2), "warning", "connection restored"),
    (LeadershipEnded(component="janitor", name="W1", reason="it stepped down"), "info", "leads no more"),
    (TaskRepaired(kind="item", task_id="T1", queue="Q"), "warning", "task repaired"),
    (TaskRepaired(kind="ttl", task_id="T1", queue="Q"), "debug", "task repaired"),
    (JanitorPassed(records=1, repairs={}, missed=0, complete=True, duration=0.1), "debug", "janitor passed"),
    (JanitorPassed(records=1, repairs={"item": 1}, missed=0, complete=True, duration=0.1), "info", "janitor passed"),
    (JanitorPassed(records=1, repairs={}, missed=1, complete=True, duration=0.1), "info", "janitor passed"),
    (JanitorPassed(records=1, repairs={}, missed=0, complete=False, duration=0.1), "info", "janitor passed"),
    (HookFailed(hook="lifespan", function="shop:life", error="it took longer than 5 s"), "warning", "a hook failed"),
    (ProcessNotStarted(worker="W1", error="x"), "warning", "a process for handlers did not start"),
    (ProcessReady(worker="W1", pid=7, after=0.2), "debug", "process ready"),
    (ProcessEnded(worker="W1", pid=7, reason=ProcessEnd.CRASH, how="x", calls=1), "warning", "process ended"),
    (ProcessEnded(worker="W1", pid=7, reason=ProcessEnd.MAX_TASKS, how="x", calls=1), "debug", "process ended"),
    (CallsWaiting(worker="W1", waiting=2), "debug", "calls wait for a process"),
    (JanitorFailed(error="no answer"), "warning", "janitor's pass failed"),
    (JanitorFailed(error="denied", final=True), "info", "no janitor here, this user may not"),
    (TopologyChanged(name="S", change="x was added"), "info", "topology"),
    (TopologyChanged(name="S", change="x is missing", failed=True), "warning", "topology"),
    (ChildStarted(pid=7, place=1), "debug", "child started"),
    (ChildReady(pid=7, place=1, worker="W1", after=0.5), "info", "child ready"),
    (ChildReplaced(pid=7, place=1, reason=Replacement.CRASH, detail="x"), "warning", "child is replaced"),
    (ChildReplaced(pid=7, place=1, reason=Replacement.MAX_TASKS), "info", "child is replaced"),
    (ChildEnded(pid=7, place=1, worker="W1", how="ended", uptime=1.0), "info", "child ended"),
    (ChildEnded(pid=7, place=1, worker="", how="was killed", uptime=1.0, orderly=False), "error", "child ended"),
    (RestartDelayed(place=1, after=2.0), "warning", "child crashes again and again"),
    (ReloadEnded(), "info", "rolling restart done"),
    (ReloadEnded(error="it did not start"), "error", "rolling restart given up"),
    (RunsHandedOver(dead_worker="W1", runs=0, heir="W2"), "debug", "runs of a dead child handed over"),
    (RunsHandedOver(dead_worker="W1", runs=2, heir="W2"), "warning", "runs of a dead child handed over"),
    (RunsHandedOver(dead_worker="W1", runs=2), "warning", "runs of a dead child wait for their leases to end"),
    (LoopBlocked(worker="W1", seconds=1.5, task_id="T1", stack="here"), "warning", "event loop is blocked"),
    (SupervisorLost(worker="W1"), "warning", "the supervisor is gone; this worker stops"),
    (WorkerStarted(worker="W1", queues=("Q",), patterns=("a",), slots=3), "info", "worker started"),
    (WorkerStopping(worker="W1", running=2), "info", "worker stopping"),
    (WorkerStopped(worker="W1", released=1), "info", "worker stopped"),
    (QueuePaused(worker="W1", queue="Q", until=None), "info", "queue paused"),
    (QueuePaused(worker="W1", queue="Q", until=NOW), "info", "queue paused"),
    (QueueResumed(worker="W1", queue="Q"), "info", "queue resumed"),
    (WorkerQuieted(worker="W1"), "info", "worker takes no more tasks"),
    (
        FetchingStalled(worker="W1", queue="Q", reason="it is gone", seconds=10.0),
        "error",
        "tasks wait, slots are free, and nothing arrives; asking anew",
    ),
    (FetchingRestored(worker="W1", queue="Q"), "warning", "tasks arrive again"),
    (SchedulerStarted(name="S1"), "info", "scheduler started"),
    (SchedulerStopped(name="S1"), "info", "scheduler stopped"),
    (SchedulerFailed(error="no"), "warning", "schedules were not looked after, it is tried again"),
    (
        ClockDistrusted(ahead=9.0),
        "warning",
        "this machine's clock differs from the server's too much to lead the schedules",
    ),
    (OccurrenceMade(schedule="a", task_id="a:1", planned=NOW, late=0.1), "debug", "occurrence made"),
    (OccurrencesSkipped(schedule="a", count=2), "warning", "occurrences missed, not made up for"),
    (OccurrenceFailed(schedule="a", error="no", kind="E"), "warning", "occurrence not made, tried again"),
    (ScheduleRejected(schedule="a", reason="no"), "warning", "schedule cannot be used"),
    (SchedulesDeployed(origin="code:shop"), "info", "schedules deployed"),
    (
        ResponderStarted(responder="R1", service="shop", group="g", subjects=("x",), slots=3),
        "info",
        "server of remote handlers started",
    ),
    (ResponderStopping(responder="R1", running=1), "info", "server of remote handlers stops"),
    (ResponderStopped(responder="R1", interrupted=1), "info", "server of remote handlers stopped"),
    (
        RequestAnswered(task_id="T1", task_type="a", pattern="a", outcome="failed", error="no", duration=0.1),
        "warning",
        "request answered",
    ),
    (RequestRefused(subject="x", reason=Refusal.LATE, detail="no"), "warning", "request refused"),
]


@pytest.mark.parametrize(("event", "level", "words"), [*STATES, *OTHERS])
def test_every_event_has_its_line_and_its_level(event: Event, level: str, words: str, stream: io.StringIO) -> None:
    EventLog()(event)

    [line] = lines(stream)
    assert (line["level"], line["event"]) == (level, words)


def test_every_kind_of_event_is_known() -> None:
    told = {type(event) for event, _, _ in [*STATES, *OTHERS]}

    assert told == set(Event.__args__)


def test_a_retry_says_why_and_when(stream: io.StringIO) -> None:
    EventLog()(changed(State.RETRY, outcome="failed", due=NOW + timedelta(seconds=2), **FAILURE))

    [line] = lines(stream)
    assert line["error"] == "ValueError: no luck"
    assert line["due"] == "2026-11-24T03:00:02.000+00:00"
    assert line["exception"] == "Traceback\n  here"
    assert (line["task_id"], line["task_type"], line["queue"], line["tries"]) == ("T1", "email:new", "EMAIL", 2)


def test_a_stop_says_what_was_released(stream: io.StringIO) -> None:
    EventLog()(WorkerStopped(worker="W1", released=0))

    [line] = lines(stream)
    assert line["released"] == 0


def test_success_costs_nothing_when_nobody_wants_to_know(bare_root: logging.Logger) -> None:
    written = set_up(bare_root, "json", level="info")

    EventLog()(changed(State.COMPLETE))

    assert written.getvalue() == ""


def test_times_are_iso_in_utc(stream: io.StringIO) -> None:
    logging.getLogger("shop").info("x")

    [line] = lines(stream)
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_lines_of_a_run_carry_its_names_whoever_writes_them(stream: io.StringIO) -> None:
    current_scope.set(SCOPE)
    logging.getLogger("shop").warning("by %s", "logging")
    structlog.get_logger("shop").info("by structlog", price=3)
    current_scope.set(None)
    logging.getLogger("shop").warning("outside")

    first, second, outside = lines(stream)
    assert first == first | NAMES | {"event": "by logging", "logger": "shop", "level": "warning"}
    assert second == second | NAMES | {"event": "by structlog", "price": 3}
    assert "task_id" not in outside


async def test_lines_from_threads_of_a_run_carry_its_names(stream: io.StringIO) -> None:
    current_scope.set(SCOPE)
    await asyncio.to_thread(logging.getLogger("shop").warning, "in a thread")
    current_scope.set(None)

    [line] = [line for line in lines(stream) if line["logger"] == "shop"]
    assert line == line | NAMES


def test_other_threads_carry_none(stream: io.StringIO) -> None:
    current_scope.set(SCOPE)
    thread = threading.Thread(target=logging.getLogger("shop").warning, args=("elsewhere",))
    thread.start()
    thread.join()
    current_scope.set(None)

    [line] = lines(stream)
    assert "task_id" not in line


def test_an_event_about_another_task_keeps_its_own_names(stream: io.StringIO) -> None:
    current_scope.set(SCOPE)
    EventLog()(changed(State.ACTIVE, task_id="T2"))
    current_scope.set(None)

    [line] = lines(stream)
    assert line["task_id"] == "T2"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_do_not_show_variables(log_format: LogFormat, bare_root: logging.Logger) -> None:
    written = set_up(bare_root, log_format)

    def pay(card: str) -> None:
        assert card
        raise ValueError("declined")

    for log in (logging.getLogger("shop"), structlog.get_logger("shop")):
        try:
            pay(str(2**60))
        except ValueError:
            log.exception("payment failed")

    assert written.getvalue().count("ValueError: declined") == 2
    assert str(2**60) not in written.getvalue()


def test_colours_are_only_there_when_wanted(bare_root: logging.Logger) -> None:
    plain = set_up(bare_root, "console")
    logging.getLogger("shop").info("x")
    colourful = set_up(bare_root, "console", colors=True)
    logging.getLogger("shop").info("x")

    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in colourful.getvalue()


def test_the_logging_of_an_application_is_left_alone(bare_root: logging.Logger) -> None:
    own, ours = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(own)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    bare_root.handlers[:] = [handler]

    assert not configure("debug", "json", stream=ours, colors=False)
    EventLog()(changed(State.RETRY, outcome="failed", due=NOW, **FAILURE))

    assert bare_root.handlers == [handler]
    assert ours.getvalue() == ""
    assert own.getvalue() == (
        "WARNING task retries task_id=T1 task_type=email:new queue=EMAIL tries=2 worker=W1 "
        "error=ValueError: no luck due=2026-11-24T03:00:00.000+00:00\n"
    )


@pytest.mark.usefixtures("bare_root")
def test_the_structlog_of_an_application_is_left_alone() -> None:
    structlog.configure(processors=[structlog.processors.JSONRenderer()])
    before = structlog.get_config()["processors"]

    configure("info", "json", stream=io.StringIO(), colors=False)

    assert structlog.get_config()["processors"] is before


def test_fields_are_attributes_of_the_record_for_any_handler(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "jetq.test"):
        Log("jetq.test").info("connecting", server="nats://h:1", source="", namespace=None)

    [record] = caplog.records
    assert isinstance(record.msg, Line)
    assert record.getMessage() == "connecting server=nats://h:1"
    assert record.__dict__["server"] == "nats://h:1"
