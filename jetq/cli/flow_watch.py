"""
flow_watch: ``jetq flow watch``.
"""

import asyncio
from contextlib import AsyncExitStack

import typer

from jetq.admin.flow_inspector import FlowInspector
from jetq.cli.exits import FAILED
from jetq.cli.render import print_json_line
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import say
from jetq.cli.watching import print_event
from jetq.client.flow_events import follow_flow
from jetq.model.flow_status import FlowStatus, Progress
from jetq.settings import Settings


def watch_flow(settings: Settings, flow_id: str, *, as_json: bool) -> None:
    """
    Print what happens to the tasks of a flow until all have ended, or Ctrl-C.

    Raises:
        UnknownFlowError: There is none.
        ServerError: No connection, or a refusal.
        Exit: It did not end well.
    """

    async def work(session: Session) -> FlowStatus:
        inspector = FlowInspector(session.backend)
        flow = (await inspector.find(flow_id)).document
        async with AsyncExitStack() as stack:
            events = await follow_flow(stack, session.backend, flow)
            say(f"Watching flow {flow.label}; Ctrl-C ends it.")
            async for event in events:
                print_json_line(event) if as_json else print_event(event)
        return (await inspector.view(flow_id)).status

    try:
        status = in_session(settings, work)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return
    say(f"The flow is {status}.")
    if status.state is not Progress.COMPLETE:
        raise typer.Exit(FAILED)
