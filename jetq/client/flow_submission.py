"""
flow_submission: from a flow that its caller wants to stored tasks, all of which run or none.

The order is: the flow's message, ``building`` → markers of all tasks → records, children first, roots (which wait for
nobody) last and blocked on the flow → edges of tasks with very many dependents → the message becomes ``committed`` by
compare-and-swap → the roots become runnable → their items → their markers are removed → the caller is answered. A
record is written once, with all that is to be known of its flow, and each step is acknowledged as a whole before the
next begins. What a crash or a lost answer at each arrow leads to:

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
a task is cancelled meanwhile        its children are there, since they are written before it, and fail with it; those
                                     to which an edge is written later fail by the pass over the markers
an edge before its parent's record   does not come about: the pass over the markers removes edges that lead from nothing
alive, and slow beyond five minutes  the commit is refused; this call ends what it wrote meanwhile, and raises
                                     ``FlowAbandonedError``
dead after the pass aborted it       a record that was written after that has its marker still, and the pass ends it
commit: answer lost                  the message is read; nobody but this call commits, so ``committed`` is its own
commit: no answer until the end      ``FlowSubmitTimeoutError``: if it is committed, all runs; if not, it is aborted
                                     once it is five minutes old
dead after the commit                roots that wait for a flow that is committed; the pass over the markers releases
                                     them
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

from msgspec import Struct
from msgspec.structs import replace

from jetq.client.flow_request import FlowNode, FlowRequest
from jetq.errors import (
    FlowAbandonedError,
    FlowSubmitTimeoutError,
    JetqError,
    PayloadTooLargeError,
    SequenceConflictError,
    ServerError,
    ServerTimeoutError,
)
from jetq.jetstream.abandoning import abandon
from jetq.jetstream.backend import Backend
from jetq.jetstream.flow_store import StoredFlow
from jetq.jetstream.publisher import Publication
from jetq.jetstream.task_store import Stored
from jetq.model.dependency import MOST_DEPENDENTS, Edge, ParentEnd
from jetq.model.events import EnqueueFailed, state_change
from jetq.model.flow import FlowState
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.observe.fault_points import Point, fault_point
from jetq.settings import RECORD_MARGIN
from jetq.wire.codec import Document, new_document
from jetq.wire.dependencies import REFERENCE_SIZE, encode_policies, without_parents
from jetq.wire.flows import FlowDocument, NodeEntry, NodeKind
from jetq.wire.ids import new_id, new_nonce
from jetq.wire.signature import Signer

_PART: Final = 1000
"""Records that are awaited together; less than the publisher's window, so that parts follow each other closely."""
_SLICE: Final = 250
"""Records that are spelled in one go; other tasks of the loop come to their turn in between."""


class QueueKeeper(Protocol):
    """What knows queues, or makes them: `client.enqueue`."""

    async def refused_queues(self, names: Iterable[str]) -> dict[str, JetqError]:
        """Return the error of each queue that does not exist and cannot be made."""
        ...


class _Draft(Struct, gc=False):
    """A record that is to be written, and the edges that have no place in it."""

    document: Document
    data: bytes
    edges: list[str]
    sequence: int = 0

    @property
    def record(self) -> TaskRecord:
        return self.document.record


class _FlowDraft(Struct):
    """
    A flow on its way.

    Attributes:
        document: What its message says.
        tasks: By position, until they are written.
        is_doubtful: An answer is missing, so that something may be stored later than it is looked for.
    """

    document: FlowDocument
    tasks: list[_Draft]
    is_doubtful: bool = False


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
            UnknownQueueError, PayloadTooLargeError, FlowTooLargeError: It cannot be stored; nothing was sent.
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

    async def _drafted(self, request: FlowRequest) -> _FlowDraft:
        """
        Spell all that is to be written.

        Raises:
            PayloadTooLargeError: A record is too large.
        """
        flow_id, now = new_id(), self._backend.connection.clock.now()
        ids = [new_id() for _ in request.nodes]
        children: list[list[str]] = [[] for _ in ids]
        for child, node in zip(ids, request.nodes, strict=True):
            for link in node.parents:
                children[link.parent].append(child)
        tasks: list[_Draft] = []
        for position, node in enumerate(request.nodes):
            wish = replace(node.request, flow=flow_id, trace=node.request.trace or request.trace)
            record = _blocked(wish.record(ids[position], new_nonce(), now), node, ids, flow_id)
            tasks.append(self._draft(record, children[position]))
            if not len(tasks) % _SLICE:
                await asyncio.sleep(0)
        kinds: dict[NodeKind, int] = {}
        nodes = tuple(
            NodeEntry(task_id, node.name, kinds.setdefault(_kind(node), len(kinds)))
            for task_id, node in zip(ids, request.nodes, strict=True)
        )
        document = FlowDocument(
            id=flow_id,
            name=request.name,
            state=FlowState.BUILDING,
            created=now,
            nodes=nodes,
            kinds=tuple(kinds),
            leaves=tuple(position for position, found in enumerate(children) if not found),
            result=None if request.keyed else request.result,
            keyed=request.keyed,
            nonce=new_nonce(),
        )
        return _FlowDraft(document, tasks)

    def _draft(self, record: TaskRecord, children: list[str]) -> _Draft:
        document = new_document(replace(record, dependents=tuple(children[:MOST_DEPENDENTS])))
        if self._signer is not None:
            document = self._signer.signed(document)
        data = document.encode()
        limit = self._backend.connection.max_payload - RECORD_MARGIN
        size = len(data) + REFERENCE_SIZE * len(record.pending)
        if size > limit:
            raise PayloadTooLargeError(record.type, size, limit)
        return _Draft(document, data, children[MOST_DEPENDENTS:])

    # before the commit

    async def _store(self, draft: _FlowDraft) -> list[Stored]:
        """
        Write everything but the commit; return the roots.

        Raises:
            FlowSubmitTimeoutError: No answer.
            ServerError: A refusal.
        """
        backend, flow_id = self._backend, draft.document.id
        tasks = draft.tasks
        await self._publish([backend.links.flow_marker(task.record.id, flow_id) for task in tasks], draft)
        fault_point(Point.FLOW_MARKED)
        inner = [task for task in reversed(tasks) if task.record.dependencies]
        roots = [task for task in reversed(tasks) if not task.record.dependencies]
        for start in range(0, len(inner), _PART):
            await self._write(inner[start : start + _PART], draft)
        for start in range(0, len(roots), _PART):
            await self._write(roots[start : start + _PART], draft)
        for task in tasks:
            if task.edges:
                await self._publish(backend.links.edges(task.record.id, task.edges), draft)
        return [Stored(task.document, task.sequence, task.data) for task in reversed(roots)]

    async def _publish(self, publications: list[Publication], draft: _FlowDraft) -> None:
        for answer in await self._backend.publisher.publish_many(publications, timeout=self._timeout):
            if not isinstance(answer, int):
                raise self._refusal(draft, answer)

    async def _write(self, tasks: Sequence[_Draft], draft: _FlowDraft) -> None:
        """Write records together, and tell of them."""
        store, bus = self._backend.tasks, self._backend.bus
        writes = [store.publication(task.record.id, task.data, 0) for task in tasks]
        answers = await self._backend.publisher.publish_many(writes, timeout=self._timeout)
        now = self._backend.connection.clock.now()
        for task, answer in zip(tasks, answers, strict=True):
            task.sequence = answer if isinstance(answer, int) else await self._resolved(task, answer, draft)
            bus.emit(state_change(task.record, now, sequence=task.sequence))
        fault_point(Point.FLOW_PART_STORED)

    async def _resolved(self, task: _Draft, doubt: ServerError, draft: _FlowDraft) -> int:
        """Find out whether a record is there all the same."""
        if isinstance(doubt, (SequenceConflictError, ServerTimeoutError)):
            try:
                found = await self._backend.tasks.read(task.record.id, timeout=self._timeout)
            except ServerTimeoutError as silent:
                raise self._refusal(draft, silent) from doubt
            if found is not None and found.record.nonce == task.record.nonce:
                return found.sequence
        raise self._refusal(draft, doubt)

    def _refusal(self, draft: _FlowDraft, error: ServerError) -> JetqError:
        if not isinstance(error, ServerTimeoutError):
            return error
        draft.is_doubtful = True
        return FlowSubmitTimeoutError(draft.document.id, self._timeout)

    async def _give_up(self, flow: StoredFlow, draft: _FlowDraft) -> None:
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

    async def _commit(self, flow: StoredFlow, draft: _FlowDraft) -> StoredFlow:
        try:
            found = await self._backend.flows.decide(flow, FlowState.COMMITTED, timeout=self._timeout)
        except (ServerTimeoutError, SequenceConflictError) as silent:
            raise FlowSubmitTimeoutError(flow.id, self._timeout) from silent
        if found is not None and found.state is FlowState.COMMITTED:
            return found
        with contextlib.suppress(ServerError):
            await abandon(self._backend, draft.document)
        raise FlowAbandonedError(flow.id, flow.document.name)

    async def _release(self, flow_id: str, roots: Sequence[Stored]) -> None:
        """Let roots run, a part at a time; those that somebody wrote meanwhile are looked at one by one."""
        committed = [ParentEnd(flow_id, State.COMPLETE)]
        for start in range(0, len(roots), _PART):
            part = roots[start : start + _PART]
            placed = await self._place(await self._released(part, committed))
            fault_point(Point.ROOTS_PLACED)
            await self._backend.links.unmark_many(placed)
            done = set(placed)
            for root in part:
                if root.record.id not in done:
                    await self._backend.dependents.settle(root.record.id, committed)

    async def _released(self, roots: Sequence[Stored], committed: Sequence[ParentEnd]) -> list[Stored]:
        """Make roots runnable; return those that are."""
        backend, now = self._backend, self._backend.connection.clock.now()
        changed = [root.document.updated(without_parents(root.record, committed, now) or root.record) for root in roots]
        data = [document.encode() for document in changed]
        writes = [
            backend.tasks.publication(root.record.id, each, root.sequence)
            for root, each in zip(roots, data, strict=True)
        ]
        answers = await backend.publisher.publish_many(writes, timeout=self._timeout)
        fault_point(Point.ROOTS_RELEASED)
        found: list[Stored] = []
        for document, each, answer in zip(changed, data, answers, strict=True):
            if isinstance(answer, int):
                found.append(Stored(document, answer, each))
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


def _blocked(record: TaskRecord, node: FlowNode, ids: Sequence[str], flow_id: str) -> TaskRecord:
    """Let a new task wait for its parents, or for the flow."""
    if not node.parents:
        return replace(record, state=State.BLOCKED, pending=(flow_id,))
    parents = [ids[link.parent] for link in node.parents]
    edges = [Edge(ids[link.parent], link.on_failure) for link in node.parents]
    return replace(
        record,
        state=State.BLOCKED,
        dependencies=parents,
        pending=tuple(parents),
        on_failure=encode_policies(edges),
        load_dependencies=node.request.load_dependencies,
    )


def _kind(node: FlowNode) -> NodeKind:
    options = node.request.options
    return NodeKind(node.request.type, node.request.queue, options is not None and options.each)
