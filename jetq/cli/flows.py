"""
flows: ``jetq flow``: show, list, cancel, watch.
"""

from typing import Annotated

import typer

from jetq.cli.choosing import Unasked, Where
from jetq.cli.expanding import expanded

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look after flows: tasks that were enqueued together."
)

FlowId = Annotated[str, typer.Argument(metavar="ID", help="A flow's id.")]


@commands.command("show")
@expanded
def show(
    flow_id: FlowId,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All tasks, however many there are.")] = False,
    dot: Annotated[
        bool, typer.Option("--dot", help="In the language of Graphviz: jetq flow show ID --dot | dot -Tsvg.")
    ] = False,
    where: Where,
) -> None:
    """
    Show a flow: its tasks and their states.

    Each task stands once, below the last of those that it waits for; what failed by itself is told in full.
    """
    from jetq.admin.flow_inspector import FlowInspector
    from jetq.cli.chosen import settings_at
    from jetq.cli.flow_page import FlowPage
    from jetq.cli.render import print_json
    from jetq.cli.session import in_session
    from jetq.errors import InvalidSettingError

    if dot and where.as_json:
        raise InvalidSettingError("the format", "--dot --json", "one of them")
    settings = settings_at(where)
    page = FlowPage(in_session(settings, lambda session: FlowInspector(session.backend).view(flow_id)))
    if where.as_json:
        print_json(page.object())
    elif dot:
        typer.echo(page.dot())
    else:
        page.print(everything=everything)


@commands.command("list")
@commands.command("ls", hidden=True)
@expanded
def list_flows(
    *,
    limit: Annotated[int, typer.Option("--limit", "-l", metavar="N", min=0, help="So many at most; 0 is all.")] = 50,
    where: Where,
) -> None:
    """List flows, the latest first."""
    from jetq.admin.flow_inspector import FlowInspector
    from jetq.cli.chosen import settings_at
    from jetq.cli.flow_page import print_flows
    from jetq.cli.session import in_session

    settings = settings_at(where)
    listing = in_session(settings, lambda session: FlowInspector(session.backend).list_flows(limit=limit))
    print_flows(listing, as_json=where.as_json)


@commands.command("cancel")
@expanded
def cancel(
    flow_id: FlowId,
    *,
    running: Annotated[bool, typer.Option("--running", help="Ask workers to stop those that run as well.")] = False,
    unasked: Unasked = False,
    where: Where,
) -> None:
    """
    Cancel what has not run of a flow.

    Also what its tasks enqueued. Tasks that run go on, unless --running is given.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.flow_cancel import cancel_flows

    cancel_flows(flow_id, settings_at(where), running=running, unasked=unasked, as_json=where.as_json)


@commands.command("watch")
@expanded
def watch(flow_id: FlowId, *, where: Where) -> None:
    """
    Show what happens to the tasks of a flow, until all have ended.

    Or until Ctrl-C. With --json, an object a line. The exit status is 1 if the flow failed.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.flow_watch import watch_flow

    watch_flow(settings_at(where), flow_id, as_json=where.as_json)
