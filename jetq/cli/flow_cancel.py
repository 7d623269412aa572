"""
flow_cancel: ``jetq flow cancel``.
"""

import msgspec
import typer

from jetq.admin.flow_inspector import FlowInspector
from jetq.cli.operating import who
from jetq.cli.render import print_json
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import confirm, say
from jetq.client.flow_cancelling import CancelledFlow, cancel_flow
from jetq.settings import Settings


def cancel_flows(flow_id: str, settings: Settings, *, running: bool, unasked: bool, as_json: bool) -> None:
    """
    Cancel a flow, after asking.

    Raises:
        UnknownFlowError: There is none.
        ServerError: No connection, or a refusal.
    """

    async def work(session: Session) -> CancelledFlow:
        flow = (await FlowInspector(session.backend).find(flow_id)).document
        confirm(f"Cancel what has not run of the {len(flow.nodes):,} tasks of flow {flow.label}?", force=unasked)
        await session.backend.know_store()
        return await cancel_flow(session.backend, session.operations, flow, by=who(), running=running)

    done = in_session(settings, work)
    if as_json:
        print_json(msgspec.to_builtins(done))
        return
    typer.echo(f"cancelled {done.cancelled:,}" + (f", asked to stop {done.requested:,}" if done.requested else ""))
    if done.running:
        say(f"{done.running:,} run and go on; --running asks their workers to stop them.")
