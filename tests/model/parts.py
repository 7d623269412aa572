"""
parts: what a state of the model is made of. Each part is an immutable tuple, so that equal ones are stored once.
"""

from typing import Any, NamedTuple

NEW, RETRY, ACTIVE, BLOCKED, COMPLETE, EXPIRED, UNREACHABLE, QUEUE_ERROR = range(8)
STATE = ["new", "retry", "active", "blocked", "complete", "expired", "unreachable", "queue_error"]
FINAL = (COMPLETE, EXPIRED, UNREACHABLE)
FAILED = (EXPIRED, UNREACHABLE)

OK, ERROR, CANCELLED = 1, 2, 3
"""What a handler's run came to: the intent of the closing write."""

NOBODY = -1


class Rec(NamedTuple):
    """
    A record.

    ``due``: 1 while it waits for its schedule. ``rw``, ``ra``: the run (process of the worker, attempt). ``creq``: a
    cancel is requested. ``pend``, ``deps``: bit masks of the parents still awaited, and of the dependents. ``res``: the
    attempt that wrote the result. ``nonce``: who created it. ``age``: see the janitor. ``after``: the task of the same
    key whose end it waits for. ``at``: 1 once it moved to another queue.
    """

    seq: int
    st: int
    due: int = 0
    rw: int = NOBODY
    ra: int = 0
    tries: int = 0
    crashes: int = 0
    creq: int = 0
    pend: int = 0
    deps: int = 0
    res: int = 0
    nonce: int = 0
    age: int = 0
    after: int = NOBODY
    at: int = 0


class Item(NamedTuple):
    """An item: its stream sequence, the record's sequence in its body, if a schedule brought it, if it is leased."""

    sid: int
    n: int
    via: int
    leased: int


class Queue(NamedTuple):
    """
    What a queue holds of one task: its item; its schedule and due message by the sequence in their bodies (0: none);
    the last sid given. Task t has the queue t; one that may move has another, behind those of all tasks.
    """

    item: Item | None
    sched: int
    due: int
    top: int


# Steps of a worker with its one delivery

IDLE, CLAIM, CLAIM_UNSURE, READ, ASK, TAKE, RUN, END_UNSURE, END_AGAIN, RESCHEDULE, SCHEDULE, AFTER, ACK = range(13)
TURN, WAIT_ON, SUPERSEDE = range(13, 16)
_STEPS = "idle claim claim_unsure read ask take run end_unsure end_again reschedule schedule after ack"
_STEPS += " turn wait_on supersede"
STEP = _STEPS.split()
IN_TABLE = (CLAIM, CLAIM_UNSURE, TAKE, RUN, END_UNSURE, END_AGAIN)
"""The lease table: from before the claim is sent until the closing write is resolved."""


class Worker(NamedTuple):
    """
    A worker.

    ``x``: told to cancel (in run), owner that is asked (in ask), intent (while ending), dependents left (in after).
    ``paused``: 1 = paused, 2 = and its presence ended. ``exc``: was paused during this run, so that nobody wrongs it.
    ``sub``: where it is in the release machine. ``q``: the queue that its delivery came from. ``to``: the queue that
    what it schedules goes to, if that is another one than the task's first.
    """

    pc: int = IDLE
    t: int = 0
    sid: int = 0
    n: int = 0
    via: int = 0
    seq: int = 0
    att: int = 0
    x: int = 0
    paused: int = 0
    exc: int = 0
    sub: tuple[int, ...] = ()
    q: int = 0
    to: int = 0


IDLE_WORKER = Worker()

DONE, DEAD = 90, 91
"""Steps of actors that came to their end, or died."""


class Actor(NamedTuple):
    """Any other actor: its kind, its task, its step, and what it remembers."""

    kind: str
    t: int
    pc: int = 0
    seq: int = 0
    x: int = 0
    sub: tuple[int, ...] = ()


Operation = tuple[Any, ...]
"""A request to the server: its name and its arguments."""
