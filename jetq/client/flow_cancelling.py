"""
flow_cancelling: cancel what has not run of a flow.

A task that is cancelled takes those along that depend on it, as any failure does. So that they end ``cancelled`` as
well, and not ``unreachable``, those come first on which none depends, then those on which only these do, and so on. A
task that is cancelled while one before it goes on is passed over when that ends.

Most of a flow is blocked as a rule. Blocked tasks are in no queue, and nothing follows from the end of one of whose
dependents all have ended; so they are written together, children before their parents, and then their markers are
removed. One that somebody else wrote meanwhile, or on which a task depends that is not of the flow, is cancelled by
itself, as all others are.

Who dies in between leaves a flow of which some tasks are cancelled; to cancel it again goes on. Of a blocked task that
depends on one that was cancelled, the pass over the markers finds that out (`jetstream.dependents`).
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from typing import Final

from msgspec import Struct

from jetq.client.operations import Operations
from jetq.errors import InvalidSettingError, OperationRefusedError, TaskNotFoundError
from jetq.jetstream.abandoning import abandon
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.jetstream.publisher import Publication
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import MOST_DEPENDENTS
from jetq.model.events import state_change
from jetq.model.flow import FlowState
from jetq.model.operation import Effect
from jetq.model.record import CancelRequest, TaskRecord
from jetq.model.state import End, State
from jetq.model.transition import ended
from jetq.wire.flows import FlowDocument

_AT_ONCE: Final = 50
_PART: Final = 500
"""Blocked tasks that are written together."""
LONGEST_NAME: Final = 200
"""Characters of who wants that."""


class CancelledFlow(Struct, frozen=True):
    """
    What became of the tasks of a flow that was cancelled, and of those that they enqueued.

    Attributes:
        cancelled: They had not run, or wait for another try, and are cancelled now; or their flow was not stored yet.
        requested: They run, and their workers were asked to stop them.
        running: They run, and go on.
        ended: They had ended before.
    """

    cancelled: int = 0
    requested: int = 0
    running: int = 0
    ended: int = 0


async def cancel_flow(
    backend: Backend, operations: Operations, flow: FlowDocument, *, by: str = "", running: bool = False
) -> CancelledFlow:
    """
    Cancel what has not run of a flow, and of what its tasks enqueued.

    Args:
        backend: The server.
        operations: Cancels single tasks.
        flow: It.
        by: Who wants that.
        running: Also ask the workers of those that run to stop them.

    Raises:
        InvalidSettingError: *by* is too long.
        ServerError: No answer, or a refusal.
    """
    if len(by) > LONGEST_NAME:
        raise InvalidSettingError("by", by, f"at most {LONGEST_NAME} characters")
    if await _is_aborted(backend, flow):
        return CancelledFlow(cancelled=len(flow.nodes))
    ids = dict.fromkeys([*(node.id for node in flow.nodes), *await backend.flows.members(flow.id)])
    found = await backend.tasks.read_each([*ids], _if_open)
    open_tasks = [stored for stored in found if stored is not None]
    counts = Counter({Effect.NOTHING: len(ids) - len(open_tasks)})

    async def cancel(task_id: str) -> Effect:
        try:
            return (await operations.cancel(task_id, by=by, running=running)).effect
        except OperationRefusedError as refused:
            return Effect.REFUSED if refused.state == State.ACTIVE else Effect.NOTHING
        except TaskNotFoundError:
            return Effect.NOTHING

    done = await _end_blocked(backend, [stored for stored in reversed(open_tasks) if _is_alone(stored, ids)], by)
    counts[Effect.ENDED] += len(done)
    for level in _levels([stored for stored in open_tasks if stored.record.id not in done]):
        for start in range(0, len(level), _AT_ONCE):
            counts.update(await together([cancel(record.id) for record in level[start : start + _AT_ONCE]]))
    return CancelledFlow(counts[Effect.ENDED], counts[Effect.REQUESTED], counts[Effect.REFUSED], counts[Effect.NOTHING])


def _if_open(stored: Stored | None) -> Stored | None:
    return None if stored is None or stored.record.is_final else stored


def _is_alone(stored: Stored, ids: Container[str]) -> bool:
    """Whether a task is blocked, and nobody depends on it who is not of the flow."""
    record = stored.record
    if record.state is not State.BLOCKED or not record.pending or record.key:
        return False
    return len(record.dependents) < MOST_DEPENDENTS and all(child in ids for child in record.dependents)


async def _end_blocked(backend: Backend, tasks: Sequence[Stored], by: str) -> set[str]:
    """End blocked tasks, children before their parents; return the ids of those that nobody wrote meanwhile."""
    done: set[str] = set()
    reason = CancelRequest(by).text
    for start in range(0, len(tasks), _PART):
        writes: list[Publication] = []
        records: list[TaskRecord] = []
        for stored in tasks[start : start + _PART]:
            document = stored.document.updated(ended(stored.record, End.CANCELLED, reason))
            record, ttl = document.record, backend.retention.ttl(document.record)
            writes.append(backend.tasks.publication(record.id, document.encode(), stored.sequence, ttl))
            records.append(record)
        answers = await backend.publisher.publish_many(writes)
        now, written = backend.connection.clock.now(), list[str]()
        for record, answer in zip(records, answers, strict=True):
            if isinstance(answer, int):
                written.append(record.id)
                backend.bus.emit(state_change(record, now, sequence=answer))
        await backend.links.unmark_many(written)
        done.update(written)
    return done


async def _is_aborted(backend: Backend, flow: FlowDocument) -> bool:
    """Abort a flow that is not committed; whether it was that."""
    if flow.state is not FlowState.BUILDING:
        return False
    stored = await backend.flows.read(flow.id)
    decided = None if stored is None else await backend.flows.decide(stored, FlowState.ABORTED)
    if decided is None or decided.state is not FlowState.ABORTED:
        return False
    await backend.know_store()
    await abandon(backend, decided.document)
    return True


def _levels(tasks: Sequence[Stored]) -> Iterator[list[TaskRecord]]:
    """Yield tasks, those first on which none of them depends."""
    records = {stored.record.id: stored.record for stored in tasks}
    waiting = dict.fromkeys(records, 0)
    for record in records.values():
        for parent in record.dependencies:
            if parent in waiting:
                waiting[parent] += 1
    level = [record for task_id, record in records.items() if not waiting[task_id]]
    while level:
        yield level
        following: list[TaskRecord] = []
        for record in level:
            for parent in record.dependencies:
                if parent in waiting:
                    waiting[parent] -= 1
                    if not waiting[parent]:
                        following.append(records[parent])
        level = following
