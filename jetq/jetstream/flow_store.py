"""
flow_store: what flows there are, and the one write by which a flow comes to be.

A flow's message says ``building`` while its tasks are stored, and none of them runs. One compare-and-swap turns it to
``committed``, or to ``aborted``, and neither is ever left again: so whoever submits a flow and whoever takes it for
dead agree on what became of it. Beside it stand the tasks that its tasks enqueued, a subject each.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from jetq.errors import (
    FlowTooLargeError,
    MalformedFlowError,
    RequestRefusedError,
    SequenceConflictError,
    ServerTimeoutError,
)
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import STREAM_NOT_FOUND
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.stream_message import last_message, purge_subject
from jetq.jetstream.subject_list import list_subjects
from jetq.model.flow import FlowState
from jetq.wire.flows import FlowDocument, decode_flow, encode_flow
from jetq.wire.names import Names

_TRIES: Final = 5
_HEADERS: Final = 1024
"""Bytes that the headers of a write take at most."""
_BODY: Final = b"{}"


class StoredFlow(Struct, frozen=True):
    """
    A flow as it is stored.

    Attributes:
        document: What it is.
        sequence: Of its message; the next write expects it.
        written: When, by the server's clock; None for what this process has just written itself.
    """

    document: FlowDocument
    sequence: int
    written: datetime | None = None

    @property
    def id(self) -> str:
        """The flow's id."""
        return self.document.id

    @property
    def state(self) -> FlowState:
        """How far it is stored."""
        return self.document.state


class FlowStore:
    """
    Writes, reads and removes flows.

    Args:
        connection: For reading and removing.
        publisher: For writing.
        names: Of the namespace.
    """

    def __init__(self, connection: Connection, publisher: Publisher, names: Names) -> None:
        self._connection = connection
        self._publisher = publisher
        self._names = names

    def check_size(self, document: FlowDocument) -> None:
        """
        Refuse a flow that is too large for its message.

        Raises:
            FlowTooLargeError: It is.
        """
        size, limit = len(encode_flow(document)), self._connection.max_payload - _HEADERS
        if size > limit:
            raise FlowTooLargeError(document.name or document.id, len(document.nodes), size, limit)

    async def create(self, document: FlowDocument, *, timeout: float | None = None) -> StoredFlow:
        """
        Begin to store a flow.

        Raises:
            SequenceConflictError: Another flow has this id.
            ServerTimeoutError: No answer; it may be there.
        """
        try:
            return await self._write(document, 0, timeout)
        except (SequenceConflictError, ServerTimeoutError):
            found = await self.read(document.id, timeout=timeout)
            if found is not None and found.document.nonce == document.nonce:
                return found
            raise

    async def read(self, flow_id: str, *, timeout: float | None = None) -> StoredFlow | None:
        """
        Read a flow from the leader; None if there is none.

        Raises:
            MalformedFlowError: What stands there is no flow, or another one.
            ServerTimeoutError: No answer.
        """
        try:
            found = await last_message(self._connection, self._names.links, self._names.flow(flow_id), timeout=timeout)
        except RequestRefusedError as refused:
            if refused.code == STREAM_NOT_FOUND:
                return None
            raise
        if found is None:
            return None
        document = decode_flow(found.data)
        if document.id != flow_id:
            raise MalformedFlowError(f"it says that it is flow {document.id}, in the place of {flow_id}")
        return StoredFlow(document, found.seq, found.time)

    async def decide(self, flow: StoredFlow, state: FlowState, *, timeout: float | None = None) -> StoredFlow | None:
        """
        Commit or abort a flow that is being built; return it as it was decided, by whomever.

        Returns:
            None if it is gone: it was aborted, and nothing of it is left.

        Raises:
            ServerTimeoutError: No answer; nobody knows.
        """
        doubt: Exception = SequenceConflictError("", 0, "")
        for _ in range(_TRIES):
            if flow.state is not FlowState.BUILDING:
                return flow
            try:
                return await self._write(replace(flow.document, state=state), flow.sequence, timeout)
            except (SequenceConflictError, ServerTimeoutError) as error:
                doubt = error
            found = await self.read(flow.id, timeout=timeout)
            if found is None:
                return None
            flow = found
        raise doubt

    async def _write(self, document: FlowDocument, expect: int, timeout: float | None) -> StoredFlow:
        publication = Publication(self._names.flow(document.id), encode_flow(document), expecting(expect))
        return StoredFlow(document, await self._publisher.publish(publication, timeout=timeout))

    async def remove(self, flow_id: str) -> None:
        """Remove a flow, and the list of what its tasks enqueued."""
        for subject in (self._names.flow_member(flow_id, "*"), self._names.flow(flow_id)):
            try:
                await purge_subject(self._connection, self._names.links, subject)
            except RequestRefusedError as refused:
                if refused.code != STREAM_NOT_FOUND:
                    raise

    # what the tasks of flows enqueued

    def member(self, flow_id: str, task_id: str) -> Publication:
        """Return the message that says that a task was enqueued by one of a flow."""
        return Publication(self._names.flow_member(flow_id, task_id), _BODY)

    async def members(self, flow_id: str) -> list[str]:
        """Return the ids of the tasks that the tasks of a flow enqueued."""
        found: list[str] = []
        skip = len(self._names.flow_member(flow_id, ""))
        subject = self._names.flow_member(flow_id, "*")
        await list_subjects(self._connection, self._names.links, subject, lambda name: found.append(name[skip:]))
        return found

    async def listed(self) -> tuple[list[str], list[str]]:
        """Return the ids of all flows, and of all flows whose tasks enqueued others, whether they are there or not."""
        flows: list[str] = []
        with_members: dict[str, None] = {}
        skip = len(self._names.flow(""))

        def take(subject: str) -> None:
            flow_id, _, member = subject[skip:].partition(".")
            if member:
                with_members[flow_id] = None
            else:
                flows.append(flow_id)

        await list_subjects(self._connection, self._names.links, self._names.flows_subject, take)
        return flows, list(with_members)
