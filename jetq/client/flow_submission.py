"""
flow_submission: from a flow that its caller wants to stored tasks, all of which run or none.

The order is: tasks of elsewhere that some of its tasks depend on are read → the flow's message, ``building`` → markers
of all tasks → records, children first, roots (which wait for no task of the flow) last and blocked on the flow → edges
of tasks with very many dependents → the tasks of elsewhere know their children → the message becomes ``committed`` by
compare-and-swap → the roots become runnable → their items → their markers are removed → another look at the tasks of
elsewhere → the caller is answered. A record is written once, with all that is to be known of its flow, and each step is
acknowledged as a whole before the next begins. What a crash or a lost answer at each arrow leads to:

===================================  ===================================================================================
at                                   what follows
===================================  ===================================================================================
before the message                   nothing is stored
message: answer lost                 it is read: with this call's nonce it is ours
dead after the message               ``building``, and no marker; the janitor's pass aborts it once it is five minutes
                                     old, and removes it
dead after markers, or some records  the pass over the markers (`admin.blocked_pass`) aborts it once it is five minutes
                                     old: each record ends ``expired``, end ``abandoned``. Nothing ran: roots wait for
                                     the flow, and all others for roots
a record: answer lost, or refused    the record is read: with this call's nonce it is ours
a record: no answer, or refused      the caller's call aborts the flow, ends what it wrote, and raises
a task is cancelled meanwhile        its children are there, since they are written before it, and fail with it, or wait
                                     for the flow; those to which an edge is written later fail by the pass over the
                                     markers
an edge before its parent's record   does not come about: the pass over the markers removes edges that lead from nothing
one of elsewhere is not there        ``UnknownDependencyError``; nothing is stored
one of elsewhere ended before        what it gave stands in the new record
dead after some know their children  as before that: the flow is aborted; an id of a task that ended is left in
                                     ``dependents`` of each, which is harmless
one of elsewhere ends meanwhile      it is counted, by itself or where it is to know its child; so the record of that is
                                     written again. One that would fail its child is not counted, since a task of an
                                     uncommitted flow fails with nobody; the look after the commit, or the pass, does it
                                     once the child does not wait for the flow any more
alive, and slow beyond five minutes  the commit is refused; this call ends what it wrote meanwhile, and raises
                                     ``FlowAbandonedError``
dead after the pass aborted it       a record that was written after that has its marker still, and the pass ends it
commit: answer lost                  the message is read; nobody but this call commits, so ``committed`` is its own
commit: no answer until the end      ``FlowSubmitTimeoutError``: if it is committed, all runs; if not, it is aborted
                                     once it is five minutes old
dead after the commit                roots that wait for a flow that is committed; the pass over the markers releases
                                     them, and looks at the tasks of elsewhere
a root: refused                      somebody released or cancelled it; what is left to do is done as for any task whose
                                     last parent ended (`jetstream.dependents`)
dead after some roots                as after the commit; one that is runnable with its marker gets its item from the
                                     pass, and a second item of the same record is refused
a queue is full                      a schedule for now is published, and waits until there is room
===================================  ===================================================================================
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from jetq.client.flow_draft import FlowDraft, NodeDraft, drafted
from jetq.client.flow_request import FlowRequest
from jetq.errors import (
    FlowAbandonedError,
    FlowSubmitTimeoutError,
    JetqError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.abandoning import abandon
from jetq.jetstream.backend import Backend
from jetq.jetstream.flow_store import StoredFlow
from jetq.jetstream.gathering import together
from jetq.jetstream.publisher import Publication
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import ParentEnd
from jetq.model.events import EnqueueFailed, state_change
from jetq.model.flow import FlowState
from jetq.model.state import State
from jetq.observe.fault_points import Point, fault_point
from jetq.wire.dependencies import without_parents
from jetq.wire.ids import new_id
from jetq.wire.signature import Signer

_PART: Final = 1000
"""Records that are awaited together; less than the publisher's window, so that parts follow each other closely."""
_ABREAST: Final = 50
"""Tasks that are dealt with one by one at one time."""


class QueueKeeper(Protocol):
    """What knows queues, or makes them: `client.enqueue`."""

    async def refused_queues(self, names: Iterable[str]) -> dict[str, JetqError]:
        """Return the error of each queue that does not exist and cannot be made."""
        ...


class FlowEnqueuer:
    """
    Submits flows.

    Args:
        backend: Where to.
        queues: Knows them.
        timeout: Seconds for each answer of the server.
        signer: Signs every task; None leaves them unsigned.
    """

    def __init__(self, backend: Backend, queues: QueueKeeper, timeout: float, signer: Signer | None) -> None:
        self._backend = backend
        self._queues = queues
        self._timeout = timeout
        self._signer = signer
        self._giving_up: set[asyncio.Task[None]] = set()

    async def submit(self, request: FlowRequest) -> StoredFlow:
        """
        Store a flow, and let it run once all of it is acknowledged.

        Raises:
            UnknownQueueError, PayloadTooLargeError, FlowTooLargeError, DelayTooLongError: It cannot be stored; nothing
                was sent.
            UnknownDependencyError: A task of elsewhere, on which one depends, does not exist; nothing was sent.
            FlowSubmitTimeoutError: No acknowledgement: all of it runs, or nothing of it ever does.
            FlowAbandonedError: It took too long, and somebody else gave it up; nothing of it runs.
            ServerError: The server refused for a reason of its own; nothing of it runs.
        """
        try:
            return await self._submit(request)
        except JetqError as error:
            for task_type, queue in dict.fromkeys((node.request.type, node.request.queue) for node in request.nodes):
                self._backend.bus.emit(EnqueueFailed(task_type=task_type, queue=queue, error=type(error).__name__))
            raise

    async def _submit(self, request: FlowRequest) -> StoredFlow:
        refused = await self._queues.refused_queues({node.request.queue for node in request.nodes})
        for error in refused.values():
            raise error
        draft = await self._drafted(request)
        self._backend.flows.check_size(draft.document)
        try:
            flow = await self._backend.flows.create(draft.document, timeout=self._timeout)
        except ServerTimeoutError as silent:
            raise FlowSubmitTimeoutError(draft.document.id, self._timeout) from silent
        fault_point(Point.FLOW_CREATED)
        try:
            roots = await self._store(draft)
        except JetqError:
            await self._give_up(flow, draft)
            raise
        except BaseException:  # cancelled: this call ends now, and what it wrote soon
            task = asyncio.get_running_loop().create_task(self._give_up(flow, draft))
            self._giving_up.add(task)
            task.add_done_callback(self._giving_up.discard)
            raise
        fault_point(Point.FLOW_STORED)
        committed = await self._commit(flow, draft)
        fault_point(Point.FLOW_COMMITTED)
        with contextlib.suppress(ServerError):  # it will run: the pass over the markers releases what is left
            await self._release(flow.id, roots)
        return committed

    # what is to be written

    async def _drafted(self, request: FlowRequest) -> FlowDraft:
        """
        Read the tasks of elsewhere, and spell all that is to be written; see `flow_draft` for what it raises.

        Raises:
            FlowSubmitTimeoutError: No answer.
        """
        flow_id, backend = new_id(), self._backend
        outside = dict.fromkeys(edge.task_id for node in request.nodes for edge in node.edges)
        try:
            ends = await backend.dependents.ends_of_parents([*outside]) if outside else {}
        except ServerTimeoutError as silent:
            raise FlowSubmitTimeoutError(flow_id, self._timeout) from silent
        return await drafted(request, flow_id, ends, backend, self._signer)

    # before the commit

    async def _store(self, draft: FlowDraft) -> list[NodeDraft]:
        """
        Write everything but the commit; return those that wait for it.

        Raises:
            FlowSubmitTimeoutError: No answer.
            ServerError: A refusal.
        """
        backend, flow_id = self._backend, draft.document.id
        tasks = draft.tasks
        await self._publish([backend.links.flow_marker(task.record.id, flow_id) for task in tasks], draft)
        fault_point(Point.FLOW_MARKED)
        inner = [task for task in reversed(tasks) if task.is_inner]
        roots = [task for task in reversed(tasks) if not task.is_inner]
        for start in range(0, len(inner), _PART):
            await self._write(inner[start : start + _PART], draft)
        for start in range(0, len(roots), _PART):
            await self._write(roots[start : start + _PART], draft)
        for task in tasks:
            if task.edges:
                await self._publish(backend.links.edges(task.record.id, task.edges), draft)
        if outside := [task for task in tasks if task.outside]:
            try:
                await self._join(outside)
            except ServerError as error:
                raise self._refusal(draft, error) from error
        return [task for task in tasks if flow_id in task.record.pending]

    async def _join(self, tasks: Sequence[NodeDraft]) -> None:
        """Let tasks of elsewhere know those that wait for them, and take those out that ended."""
        join = self._backend.dependents.join
        for start in range(0, len(tasks), _ABREAST):
            await together([join(task.record.id, task.outside) for task in tasks[start : start + _ABREAST]])

    async def _publish(self, publications: list[Publication], draft: FlowDraft) -> None:
        for answer in await self._backend.publisher.publish_many(publications, timeout=self._timeout):
            if not isinstance(answer, int):
                raise self._refusal(draft, answer)

    async def _write(self, tasks: Sequence[NodeDraft], draft: FlowDraft) -> None:
        """Write records together, and tell of them."""
        store, bus = self._backend.tasks, self._backend.bus
        writes = [store.publication(task.record.id, task.data, 0) for task in tasks]
        answers = await self._backend.publisher.publish_many(writes, timeout=self._timeout)
        now = self._backend.connection.clock.now()
        for task, answer in zip(tasks, answers, strict=True):
            task.sequence = answer if isinstance(answer, int) else await self._resolved(task, answer, draft)
            bus.emit(state_change(task.record, now, sequence=task.sequence))
        fault_point(Point.FLOW_PART_STORED)

    async def _resolved(self, task: NodeDraft, doubt: ServerError, draft: FlowDraft) -> int:
        """Find out whether a record is there all the same."""
        if isinstance(doubt, (SequenceConflictError, ServerTimeoutError)):
            try:
                found = await self._backend.tasks.read(task.record.id, timeout=self._timeout)
            except ServerTimeoutError as silent:
                raise self._refusal(draft, silent) from doubt
            if found is not None and found.record.nonce == task.record.nonce:
                return found.sequence
        raise self._refusal(draft, doubt)

    def _refusal(self, draft: FlowDraft, error: ServerError) -> JetqError:
        if not isinstance(error, ServerTimeoutError):
            return error
        draft.is_doubtful = True
        return FlowSubmitTimeoutError(draft.document.id, self._timeout)

    async def _give_up(self, flow: StoredFlow, draft: FlowDraft) -> None:
        """Abort a flow and end what was written; what fails of that is done by the pass over the markers."""
        backend = self._backend
        with contextlib.suppress(ServerError):
            found = await backend.flows.decide(flow, FlowState.ABORTED, timeout=self._timeout)
            fault_point(Point.FLOW_ABORTED)
            if found is None or found.state is FlowState.ABORTED:
                await abandon(backend, draft.document)
                if not draft.is_doubtful:
                    await backend.links.unmark_many([task.record.id for task in draft.tasks])
                    await backend.flows.remove(flow.id)

    # the commit, and what follows

    async def _commit(self, flow: StoredFlow, draft: FlowDraft) -> StoredFlow:
        try:
            found = await self._backend.flows.decide(flow, FlowState.COMMITTED, timeout=self._timeout)
        except (ServerTimeoutError, SequenceConflictError) as silent:
            raise FlowSubmitTimeoutError(flow.id, self._timeout) from silent
        if found is not None and found.state is FlowState.COMMITTED:
            return found
        with contextlib.suppress(ServerError):
            await abandon(self._backend, draft.document)
        raise FlowAbandonedError(flow.id, flow.document.name)

    async def _release(self, flow_id: str, tasks: Sequence[NodeDraft]) -> None:
        """Let those run that waited for the flow alone, a part at a time; others wait on for whom they wait as well."""
        committed = [ParentEnd(flow_id, State.COMPLETE)]
        for start in range(0, len(tasks), _PART):
            part = tasks[start : start + _PART]
            written = await self._released(part, committed)
            placed = await self._place([each for each in written if each.record.state is not State.BLOCKED])
            fault_point(Point.ROOTS_PLACED)
            await self._backend.links.unmark_many(placed)
            done = {*placed, *(each.record.id for each in written if each.record.state is State.BLOCKED)}
            await self._settle([task.record.id for task in part if task.record.id not in done], committed)
        await self._join([task for task in tasks if task.outside])  # ends that did not count before the commit

    async def _settle(self, ids: Sequence[str], committed: Sequence[ParentEnd]) -> None:
        """Look one by one at those that somebody wrote meanwhile."""
        settle = self._backend.dependents.settle
        for start in range(0, len(ids), _ABREAST):
            await together([settle(task_id, committed) for task_id in ids[start : start + _ABREAST]])

    async def _released(self, tasks: Sequence[NodeDraft], committed: Sequence[ParentEnd]) -> list[Stored]:
        """Take the flow out of what tasks wait for; return those for which that was written, mostly runnable."""
        backend, now = self._backend, self._backend.connection.clock.now()
        changed = [task.document.updated(without_parents(task.record, committed, now) or task.record) for task in tasks]
        data = [document.encode() for document in changed]
        writes = [
            backend.tasks.publication(task.record.id, each, task.sequence)
            for task, each in zip(tasks, data, strict=True)
        ]
        answers = await backend.publisher.publish_many(writes, timeout=self._timeout)
        fault_point(Point.ROOTS_RELEASED)
        found: list[Stored] = []
        for document, each, answer in zip(changed, data, answers, strict=True):
            if isinstance(answer, int):
                found.append(Stored(document, answer, each))
                if document.record.state is not State.BLOCKED:
                    backend.bus.emit(state_change(document.record, now, sequence=answer))
        return found

    async def _place(self, roots: Sequence[Stored]) -> list[str]:
        """Put in place what runnable roots ask for; return the ids of those that have it."""
        backend = self._backend
        waiting = [root for root in roots if root.record.is_waiting]
        ready = [root for root in roots if not root.record.is_waiting]
        items = [backend.queues.publication(root) for root in ready]
        answers = await backend.publisher.publish_many(items, timeout=self._timeout)
        for root in waiting:
            await backend.queues.schedule_unless_newer(root, timeout=self._timeout)
        placed = [root.record.id for root, answer in zip(ready, answers, strict=True) if isinstance(answer, int)]
        return [*placed, *(root.record.id for root in waiting)]
