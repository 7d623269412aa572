"""
flow_draft: what is to be written of a flow: its message, and a record for each of its tasks.

A task waits for those before it. It also waits for the flow itself, until that is committed, unless a task of the flow
holds it back as long: one whose failure it would fail with, and which cannot run before the commit. So a task that
waits for tasks of elsewhere only, which may end at any moment, does not run before its flow does.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from jetq.client.dependent import ended_of
from jetq.client.flow_request import FlowNode, FlowRequest
from jetq.errors import PayloadTooLargeError
from jetq.jetstream.backend import Backend
from jetq.model.dependency import MOST_DEPENDENTS, Edge, OnFailure, ParentEnd
from jetq.model.flow import FlowState, Link
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.settings import RECORD_MARGIN
from jetq.wire.codec import Document, new_document
from jetq.wire.dependencies import REFERENCE_SIZE, encode_policies, without_parents
from jetq.wire.flows import FlowDocument, NodeEntry, NodeKind
from jetq.wire.ids import new_id, new_nonce
from jetq.wire.signature import Signer

_SLICE: Final = 250
"""Records that are spelled in one go; other tasks of the loop come to their turn in between."""


class NodeDraft(Struct, gc=False):
    """
    A record that is to be written.

    Attributes:
        document: It.
        data: It, spelled.
        edges: The children that have no place in it.
        outside: The tasks of elsewhere that it waits for.
        is_inner: It depends on tasks of the flow.
        sequence: Its own, once it is written.
    """

    document: Document
    data: bytes
    edges: Sequence[str] = ()
    outside: tuple[str, ...] = ()
    is_inner: bool = False
    sequence: int = 0

    @property
    def record(self) -> TaskRecord:
        """The record."""
        return self.document.record


class FlowDraft(Struct):
    """
    A flow on its way.

    Attributes:
        document: What its message says.
        tasks: By position, until they are written.
        is_doubtful: An answer is missing, so that something may be stored later than it is looked for.
    """

    document: FlowDocument
    tasks: list[NodeDraft]
    is_doubtful: bool = False


async def drafted(
    request: FlowRequest, flow_id: str, ends: Mapping[str, ParentEnd | None], backend: Backend, signer: Signer | None
) -> FlowDraft:
    """
    Spell all that is to be written of a flow.

    Args:
        request: It.
        flow_id: Its id.
        ends: What the tasks of elsewhere came to that its tasks depend on.
        backend: Where to.
        signer: Signs every task; None leaves them unsigned.

    Raises:
        UnknownDependencyError: A task of elsewhere does not exist.
        InvalidSettingError: The deadline of a task is too early.
        PayloadTooLargeError: A record is too large.
        DelayTooLongError: A task is due when the store has dropped its record.
    """
    now = backend.connection.clock.now()
    limit = backend.connection.max_payload - RECORD_MARGIN
    ids = [new_id() for _ in request.nodes]
    children: list[list[str]] = [[] for _ in ids]
    links = [node.links for node in request.nodes]
    for child, own in zip(ids, links, strict=True):
        for link in own:
            children[link.parent].append(child)
    tasks: list[NodeDraft] = []
    for position, node in enumerate(request.nodes):
        before = (tasks[link.parent].record.trace for link in links[position])
        trace = node.request.trace or next(filter(None, before), request.trace)
        wish = replace(node.request, flow=flow_id, trace=trace)
        record = _blocked(wish.record(ids[position], new_nonce(), now), node, ids)
        edges = [] if len(links[position]) == len(node.parents) else node.edges
        if edges:
            ended = ended_of(record.type, [edge.task_id for edge in edges], ends)
            record = without_parents(record, ended, now) or record
        backend.retention.refuse_late(record, now)
        draft = _sized(_document(record, children[position], signer), limit)
        draft.edges = children[position][MOST_DEPENDENTS:]
        draft.outside = tuple([edge.task_id for edge in edges if edge.task_id in record.pending])
        draft.is_inner = bool(links[position])
        tasks.append(draft)
        if not len(tasks) % _SLICE:
            await asyncio.sleep(0)
    leaves = tuple(position for position, found in enumerate(children) if not found)
    return FlowDraft(_contents(request, flow_id, now, ids, leaves), tasks)


def _contents(
    request: FlowRequest, flow_id: str, now: datetime, ids: Sequence[str], leaves: tuple[int, ...]
) -> FlowDocument:
    """Return a flow's message."""
    kinds: dict[NodeKind, int] = {}
    nodes = tuple(
        NodeEntry(task_id, node.name, kinds.setdefault(_kind(node), len(kinds)))
        for task_id, node in zip(ids, request.nodes, strict=True)
    )
    return FlowDocument(
        id=flow_id,
        name=request.name,
        state=FlowState.BUILDING,
        created=now,
        nodes=nodes,
        kinds=tuple(kinds),
        leaves=leaves,
        result=None if request.keyed else request.result,
        keyed=request.keyed,
        nonce=new_nonce(),
    )


def _blocked(record: TaskRecord, node: FlowNode, ids: Sequence[str]) -> TaskRecord:
    """Let a new task wait for its parents, and for the flow where none of them does it in its stead."""
    if not node.parents:
        return replace(record, state=State.BLOCKED, pending=(record.flow,))
    edges = [Edge(ids[each.parent], each.on_failure) if isinstance(each, Link) else each for each in node.parents]
    parents = tuple(edge.task_id for edge in edges)
    is_held = any(isinstance(each, Link) and each.on_failure is OnFailure.FAIL for each in node.parents)
    is_free = not is_held or any(isinstance(each, Edge) for each in node.parents)
    return replace(
        record,
        state=State.BLOCKED,
        dependencies=[*parents],
        pending=(record.flow, *parents) if is_free else parents,
        on_failure=encode_policies(edges),
        load_dependencies=node.request.load_dependencies,
    )


def _document(record: TaskRecord, children: list[str], signer: Signer | None) -> Document:
    document = new_document(replace(record, dependents=tuple(children[:MOST_DEPENDENTS])))
    return document if signer is None else signer.signed(document)


def _sized(document: Document, limit: int) -> NodeDraft:
    """Return the draft of a record that is not too large."""
    data, record = document.encode(), document.record
    size = len(data) + REFERENCE_SIZE * len(record.pending)
    if size > limit:
        raise PayloadTooLargeError(record.type, size, limit)
    return NodeDraft(document, data)


def _kind(node: FlowNode) -> NodeKind:
    options = node.request.options
    return NodeKind(node.request.type, node.request.queue, options is not None and options.each)
