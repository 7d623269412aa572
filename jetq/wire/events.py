"""
events: lifecycle events as bytes, in asyncjobs' words (``io.choria.asyncjobs.v1.task_state``) and one of our own.

An event of a written record is known by its task and the record's sequence, whoever tells it and how often: so the id
is made of these two. Programs of other languages pass over the keys that jetq adds.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from jetq.model.events import LeaderElected, TaskProgressed, TaskStateChanged
from jetq.model.record import Count, Limit, Moment
from jetq.model.state import FINAL, State, display_state
from jetq.wire.codec import encode_json
from jetq.wire.ids import new_id
from jetq.wire.unreadable import UNREADABLE

TASK_STATE: Final = "io.choria.asyncjobs.v1.task_state"
LEADER_ELECTED: Final = "io.choria.asyncjobs.v1.leader_elected"
TASK_PROGRESS: Final = "jetq.v1.task_progress"
_OLDEST: Final = 2**63 - 1
"""Nanoseconds, some 292 years; Go's longest duration."""
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST_ERROR: Final = 4096
"""Characters of the last error that are told; all of it stands in the record."""


class TaskStateEvent(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    A task has a new state.

    Attributes:
        event_id: The same for every telling of one change.
        type: The kind of event, in the protocol's words.
        timestamp: Of the change, by the server's clock as far as its teller knows it.
        task_id: Whose.
        state: One of the protocol's ten; see :attr:`display_state` for what people read.
        tries: Runs that count against the most that are allowed.
        queue, task_type: Of the task.
        last_error: The beginning of the last error's text.
        task_age: Nanoseconds since the task was created.
        sequence: Of the record in the task store; of two changes of a task the later has the higher one. 0 if unknown.
        due: When a waiting task becomes runnable.
        end: Why a final state was reached.
        worker: Who wrote it, if a worker did.
        attempt: The number of the last run among all runs of the task.
        crashes: Runs that died.
        outcome: How the run ended, such as ``failed``, ``timedout``, ``snoozed``; empty if no run ended here.
        duration: Nanoseconds that the handler ran.
    """

    event_id: str
    type: str
    timestamp: Moment
    task_id: str
    state: State
    tries: Limit
    queue: str = ""
    task_type: str = ""
    last_error: str = ""
    task_age: Limit = 0
    sequence: Count = 0
    due: Moment | None = None
    end: str = ""
    worker: str = ""
    attempt: Count = 0
    crashes: Count = 0
    outcome: str = ""
    duration: Limit = 0

    @property
    def display_state(self) -> str:
        """The state as people see it: ``scheduled`` and ``cancelled`` beside the protocol's."""
        return display_state(self.state, due=self.due is not None, end=self.end)

    @property
    def is_final(self) -> bool:
        """Whether the task ended."""
        return self.state in FINAL


class LeaderElectedEvent(Struct, frozen=True, gc=False):
    """
    A component has a new leader.

    Attributes:
        event_id: Of this event alone.
        type: The kind of event, in the protocol's words.
        timestamp: Of the election.
        name: The leader's.
        component: What it leads, such as ``task_scheduler``.
    """

    event_id: str
    type: str
    timestamp: Moment
    name: str
    component: str


class TaskProgressEvent(Struct, frozen=True, omit_defaults=True, gc=False):
    """
    A handler said how far it is.

    Attributes:
        event_id: Of this event alone.
        type: The kind of event.
        timestamp: Of the saying.
        task_id: Whose.
        queue, task_type: Of the task.
        worker, attempt: Of the run.
        current: How much is done.
        total: How much there is; None if nobody knows.
        text: What is being done.
    """

    event_id: str
    type: str
    timestamp: Moment
    task_id: str
    queue: str = ""
    task_type: str = ""
    worker: str = ""
    attempt: Count = 0
    current: float = 0
    total: float | None = None
    text: str = ""


LifecycleEvent = TaskStateEvent | TaskProgressEvent | LeaderElectedEvent


class _Kind(Struct, gc=False):
    type: str


_KINDS: Final[dict[str, type[LifecycleEvent]]] = {
    TASK_STATE: TaskStateEvent,
    TASK_PROGRESS: TaskProgressEvent,
    LEADER_ELECTED: LeaderElectedEvent,
}
_kind: Final = msgspec.json.Decoder(_Kind)
_decoders: Final = {name: msgspec.json.Decoder(kind) for name, kind in _KINDS.items()}


def encode_task_event(event: TaskStateChanged) -> bytes:
    """Spell a state change for subscribers of any language."""
    duration = event.duration
    return encode_json(
        TaskStateEvent(
            event_id(event.task_id, event.sequence),
            TASK_STATE,
            event.at,
            event.task_id,
            event.state,
            event.tries,
            event.queue,
            event.task_type,
            event.last_err[:_LONGEST_ERROR],
            age_of(event.created, event.at),
            event.sequence,
            event.due,
            event.end,
            event.worker,
            event.attempt,
            event.crashes,
            event.outcome,
            0 if duration is None else round(duration * 1e9),
        )
    )


def event_id(task_id: str, sequence: int) -> str:
    """Return the id of the event of a record with that sequence; one of its own if the sequence is not known."""
    return f"{task_id}-{sequence}" if sequence else new_id()


def age_of(created: datetime, at: datetime) -> int:
    """Return the age of a task in nanoseconds, within what Go can count."""
    return min(max(0, (at - created) // _MICROSECOND * 1000), _OLDEST)


def encode_progress_event(event: TaskProgressed) -> bytes:
    """Spell what a handler said of its progress for subscribers of any language."""
    said = event.progress
    return encode_json(
        TaskProgressEvent(
            new_id(),
            TASK_PROGRESS,
            said.at,
            event.task_id,
            event.queue,
            event.task_type,
            event.worker,
            event.attempt,
            said.current,
            said.total,
            said.text,
        )
    )


def encode_leader_event(event: LeaderElected) -> bytes:
    """Spell an election for subscribers of any language."""
    return encode_json(LeaderElectedEvent(new_id(), LEADER_ELECTED, event.at, event.name, event.component))


def decode_event(data: bytes) -> LifecycleEvent | None:
    """Read an event; None if it is of a kind that this version does not know, or none at all."""
    try:
        decoder = _decoders.get(_kind.decode(data).type)
        return None if decoder is None else decoder.decode(data)
    except UNREADABLE:
        return None
