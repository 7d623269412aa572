"""
flows: flows that somebody submitted, by their ids; what users of an application see as ``app.flow``.
"""

from functools import partial
from typing import Any

from jetq.admin.flow_inspector import DEFAULT_LIMIT, FlowInspector, FlowSummary
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.flow_handle import Decoder, FlowHandle
from jetq.model.quantity import whole
from jetq.routing.router import Router
from jetq.routing.values import decode_value
from jetq.wire.flows import NodeKind


class FlowFinder:
    """Finds flows."""

    clients: Clients
    router: Router

    def flow(self, flow_id: str) -> FlowHandle[Any]:
        """
        Return the handle of a flow that somebody submitted. Results are decoded by the handlers of this application.

        Raises:
            InvalidNameError: No flow can have this id.
            UnknownFlowError: There is no such flow (any more).
            BlockingCallError: Called inside a running event loop; await :meth:`aflow` there.
        """
        forbid_in_loop("flow", "aflow")
        return self.clients.blocking(lambda client: self._flow(client, flow_id))

    async def aflow(self, flow_id: str) -> FlowHandle[Any]:
        """Return the handle of a flow that somebody submitted; see :meth:`flow`."""
        return await self._flow(await self.clients.current(), flow_id)

    async def _flow(self, client: Client, flow_id: str) -> FlowHandle[Any]:
        flow = await FlowInspector(client.backend).find(flow_id)
        by_kind = [self._decoder(kind) for kind in flow.document.kinds]
        decoders = tuple(by_kind[node.kind] for node in flow.document.nodes)
        return FlowHandle(flow, clients=self.clients, decoders=decoders)

    def _decoder(self, kind: NodeKind) -> Decoder:
        handler = self.router.match(kind.type)
        if handler is None:
            return decode_value
        return handler.decode_results if kind.each else handler.decode_result

    def flows(self, *, limit: int = DEFAULT_LIMIT) -> list[FlowSummary]:
        """
        List flows with where they stand, the latest first.

        Args:
            limit: So many at most; 0 is all.

        Raises:
            ServerError: No answer, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aflows` there.
        """
        forbid_in_loop("flows", "aflows")
        return self.clients.blocking(partial(_listed, limit=limit))

    async def aflows(self, *, limit: int = DEFAULT_LIMIT) -> list[FlowSummary]:
        """List flows with where they stand, the latest first; see :meth:`flows`."""
        return await _listed(await self.clients.current(), limit=limit)


async def _listed(client: Client, *, limit: int) -> list[FlowSummary]:
    return (await FlowInspector(client.backend).list_flows(limit=whole("limit", limit, least=0))).flows
