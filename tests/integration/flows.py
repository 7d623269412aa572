"""Flows as tests submit them."""

from typing import Any

from jetq.app.application import App
from jetq.client.flow_handle import FlowHandle
from jetq.client.flow_request import FlowNode, FlowRequest
from jetq.client.request import EnqueueRequest
from jetq.model.dependency import Edge, OnFailure
from jetq.model.flow import Link, Shape


def node(name: str, *parents: int | str, task_type: str = "give", on_failure: str = "fail", **wishes: Any) -> FlowNode:
    """Return a node that depends on others, by their positions, and on tasks that exist, by their ids."""
    wishes = {"queue": "DEFAULT", "payload": b"{}", "max_tries": 1, **wishes}
    policy = OnFailure(on_failure)
    before = tuple(Edge(each, policy) if isinstance(each, str) else Link(each, policy) for each in parents)
    return FlowNode(name=name, request=EnqueueRequest(type=task_type, **wishes), parents=before)


def flow_of(*nodes: FlowNode, result: Shape | None = None, **said: Any) -> FlowRequest:
    """Return a flow; its result is that of the last node if nothing else is said."""
    values: dict[str, Any] = {"name": "test", **said}
    return FlowRequest(nodes=nodes, result=len(nodes) - 1 if result is None else result, **values)


async def submit(app: App, *nodes: FlowNode, result: Shape | None = None, **said: Any) -> FlowHandle[Any]:
    """Submit a flow."""
    client = await app.clients.current()
    stored = await client.enqueuer.flows.submit(flow_of(*nodes, result=result, **said))
    return FlowHandle(stored, clients=app.clients)
