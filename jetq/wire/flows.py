"""
flows: what a flow is, as JSON in its own message; see docs/reference/protocol.md.

The message is the flow's commit point and its table of contents: who its tasks are and how their results are put
together. How they depend on each other stands in their records. A flow may have ten thousand tasks and one message has
a bound, so a task is an array of its id, its name and the number of its kind; a kind is a type, a queue and a word on
the result.

The body of a marker names the flow of the task, so that what is left of a flow is known for what it is.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from jetq.errors import MalformedFlowError
from jetq.model.flow import FlowState, Shape
from jetq.model.name import is_name
from jetq.model.record import Count, Moment
from jetq.wire.unreadable import UNREADABLE


class NodeKind(Struct, frozen=True, array_like=True, gc=False):
    """
    What several tasks of a flow have in common.

    Attributes:
        type: Their task type.
        queue: Their queue.
        each: The result is a list of results, since the task is many calls in one.
    """

    type: str
    queue: str
    each: bool = False


class NodeEntry(Struct, frozen=True, array_like=True, gc=False):
    """A task of a flow: its id, its name within the flow, and the number of its kind."""

    id: str
    name: str
    kind: Count = 0


class FlowDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A flow.

    Attributes:
        id: Its id.
        state: How far it is stored.
        created: When its submission began.
        nodes: Its tasks, each after those that it depends on.
        kinds: What they have in common, by number.
        name: Shown to people.
        leaves: The positions of those on which none depends; the flow has ended well when they have.
        result: How the results of nodes make the flow's result, by their positions.
        keyed: The result is an object of the leaves' results by their names; *result* says nothing then.
        nonce: Of the submission, so that it recognises its own write.
    """

    id: str
    state: FlowState
    created: Moment
    nodes: tuple[NodeEntry, ...]
    kinds: tuple[NodeKind, ...]
    name: str = ""
    leaves: tuple[int, ...] = ()
    result: Any = None
    keyed: bool = False
    nonce: str = ""

    @property
    def label(self) -> str:
        """The flow in a sentence."""
        return f"{self.name!r} ({self.id})" if self.name else self.id

    @property
    def wanted(self) -> list[int]:
        """The positions of the nodes of which the flow's result is made, each once."""
        if self.keyed:
            return [*self.leaves]
        found: dict[int, None] = {}
        rest: list[Any] = [self.result]
        while rest:
            each = rest.pop()
            if isinstance(each, int):
                found[each] = None
            else:
                rest.extend(reversed(each))
        return list(found)

    def kind_of(self, position: int) -> NodeKind:
        """Return the kind of a node."""
        return self.kinds[self.nodes[position].kind]


_encode: Final = msgspec.json.Encoder().encode
_document: Final = msgspec.json.Decoder(FlowDocument)


def encode_flow(document: FlowDocument) -> bytes:
    """Spell a flow."""
    return _encode(document)


def decode_flow(data: bytes) -> FlowDocument:
    """
    Read a flow.

    Raises:
        MalformedFlowError: It is none.
    """
    try:
        document = _document.decode(data)
    except UNREADABLE as error:
        raise MalformedFlowError(str(error)) from error
    _check(document)
    return document


def _check(document: FlowDocument) -> None:
    """Refuse ids that are no names, since they become subjects, and positions of nothing."""
    if not is_name(document.id) or not all(is_name(node.id) for node in document.nodes):
        raise MalformedFlowError(f"flow {document.id[:80]!r} has an illegal id")
    count = len(document.nodes)
    if not all(node.kind < len(document.kinds) for node in document.nodes):
        raise MalformedFlowError(f"a task of flow {document.id} is of no kind")
    if not all(0 <= leaf < count for leaf in document.leaves) or not (document.keyed or _is_shape(document, count)):
        raise MalformedFlowError(f"flow {document.id} names tasks by positions that it does not have")


def _is_shape(document: FlowDocument, count: int) -> bool:
    rest: list[int | str | list[Any] | None] = [document.result]
    while rest:
        each = rest.pop()
        if isinstance(each, list):
            rest.extend(each)
        elif isinstance(each, bool) or not isinstance(each, int) or not 0 <= each < count:
            return False
    return True


def assembled(shape: Shape | Sequence[Any], values: dict[int, Any]) -> Any:
    """Put values together by a shape; *values* are by position."""
    return values[shape] if isinstance(shape, int) else [assembled(each, values) for each in shape]


class Marker(Struct, frozen=True, omit_defaults=True, gc=False):
    """The body of a marker; *flow* is the flow that the task is stored with."""

    flow: str = ""


_marker: Final = msgspec.json.Decoder(Marker)


def encode_marker(flow_id: str) -> bytes:
    """Spell the marker of a flow's task."""
    return _encode(Marker(flow_id))


def flow_of_marker(data: bytes) -> str:
    """Return the flow that a marker names; empty for none, and for what nobody can read."""
    try:
        found = _marker.decode(data).flow
    except UNREADABLE:
        return ""
    return found if is_name(found) else ""
