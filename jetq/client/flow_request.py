"""
flow_request: a flow as its caller wants it, before anything of it is stored.
"""

from msgspec import Struct

from jetq.client.request import EnqueueRequest
from jetq.model.flow import Link, Shape


class FlowNode(Struct, frozen=True, kw_only=True):
    """
    One task of a flow.

    Attributes:
        name: Its name within the flow.
        request: The task. Who it depends on is said by *parents* alone, so its ``depends_on`` is empty, as are
            ``task_id`` and ``flow``, which are chosen when the flow is submitted; it has no unique key.
        parents: The nodes that it depends on, each once. They are its record's ``dependencies``, in this order, which
            the positions in ``request.options.into`` rely on.
    """

    name: str
    request: EnqueueRequest
    parents: tuple[Link, ...] = ()


class FlowRequest(Struct, frozen=True, kw_only=True):
    """
    A checked flow.

    Attributes:
        name: Shown to people; empty for one that has none.
        nodes: At least one. Each comes after those that it depends on; no two have the same name.
        result: How the results of nodes make the flow's result, by their positions in *nodes*.
        keyed: The result is an object of the nodes' results by their names; *result* says nothing then.
        trace: The trace of all tasks that have none of their own.
    """

    name: str
    nodes: tuple[FlowNode, ...]
    result: Shape
    keyed: bool = False
    trace: str = ""
