"""Carrying a flow out without a server, by the parts that a worker has for it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from jetq.client.flow_request import FlowRequest
from jetq.execution.composed import bound
from jetq.execution.context import Context
from jetq.model.flow import Shape
from jetq.model.record import TaskRecord
from jetq.routing.router import Router
from jetq.routing.values import encode_value
from jetq.wire.codec import decode_record, new_document
from jetq.wire.dependencies import Gift, encode_gifts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def carried_out(flow: FlowRequest, router: Router) -> Any:
    """Run the nodes in order, each with the results of its parents in its record, and return the flow's result."""
    results: list[bytes] = []
    for number, node in enumerate(flow.nodes):
        assert all(link.parent < number for link in node.parents)
        record = node.request.record(str(number), "n", NOW)
        if node.parents:
            gifts = {str(link.parent): Gift(Raw(results[link.parent]), NOW) for link in node.parents}
            record = replace(
                record,
                dependencies=[*gifts],
                dependency_results=encode_gifts(gifts) if node.request.load_dependencies else record.dependency_results,
            )
        results.append(encode_value(run(router, decode_record(new_document(record).encode()).record)))
    if flow.keyed:
        return {node.name: msgspec.json.decode(result) for node, result in zip(flow.nodes, results, strict=True)}
    return shaped(flow.result, results)


def run(router: Router, record: TaskRecord) -> Any:
    handler = router.match(record.type)
    assert handler is not None
    args, kwargs = bound(handler, record)
    if record.options is not None and record.options.each:
        return [handler.function(*inner, **names) for inner, names in args[0]]
    return handler.function(*([Context(record)] if handler.takes_context else []), *args, **kwargs)


def shaped(shape: Shape, results: list[bytes]) -> Any:
    return msgspec.json.decode(results[shape]) if isinstance(shape, int) else [shaped(each, results) for each in shape]
