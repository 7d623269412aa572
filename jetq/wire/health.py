"""
health: how a worker is, as its page says it in JSON.
"""

from msgspec import Struct

from jetq.wire.liveness import Blocked


class SchedulerHealth(Struct, frozen=True, kw_only=True):
    """
    How a scheduler is.

    Attributes:
        live: It can go on.
        ready: It leads, or would.
        reasons: Why not, in sentences.
        scheduler: Its name in the election.
        pid: Its process.
        leads: Whether it makes the occurrences now.
        schedules: How many are stored, as far as the leader knows; 0 for one that does not lead.
        rejected: Why some of them cannot be used, by name.
        clock_ahead: Seconds that its clock is ahead of the server's; 0 within a second.
    """

    live: bool
    ready: bool
    reasons: list[str]
    scheduler: str
    pid: int
    leads: bool
    schedules: int
    rejected: dict[str, str]
    clock_ahead: float


class ResponderHealth(Struct, frozen=True, kw_only=True):
    """
    How a server of remote handlers is.

    Attributes:
        live: It can go on.
        ready: It takes requests.
        reasons: Why not, in sentences.
        responder: Its id.
        pid: Its process.
        state: ``starting``, ``working`` or ``stopping``.
        running: Handlers that run.
        waiting: Requests that wait for a slot.
    """

    live: bool
    ready: bool
    reasons: list[str]
    responder: str
    pid: int
    state: str
    running: int
    waiting: int


class WorkerHealth(Struct, frozen=True, kw_only=True):
    """
    How a worker is.

    Attributes:
        live: It can go on; one that cannot should be killed and started again.
        ready: It takes tasks.
        reasons: Why it is not ready, or not live, in sentences.
        worker: Its id; empty before it has one.
        pid: Its process.
        state: ``working``, ``quiet`` or ``stopping``.
        running: Handlers that run.
        blocked: What blocks its event loop, if anything does.
        overdue: A handler that has outrun its limit and grace, in words.
        scheduler: How the scheduler beside it is; None if there is none.
    """

    live: bool
    ready: bool
    reasons: list[str]
    worker: str = ""
    pid: int = 0
    state: str = ""
    running: int = 0
    blocked: Blocked | None = None
    overdue: str = ""
    scheduler: SchedulerHealth | None = None


class SupervisorHealth(Struct, frozen=True, kw_only=True):
    """
    How a supervisor and its children are.

    Attributes:
        live: The supervisor looks after its children.
        ready: At least one child takes tasks.
        reasons: Why not, in sentences.
        children: How each of them is, by its last word.
    """

    live: bool
    ready: bool
    reasons: list[str]
    children: list[WorkerHealth]


def said_of_blocked(blocked: Blocked) -> str:
    """Say what blocks an event loop."""
    who = f"the handler {blocked.task_type} of task {blocked.task_id}" if blocked.task_id else "something"
    return f"{who} blocks the event loop for {blocked.seconds:.1f} s"
