"""
tasks: ``jetq tasks``: add, view, list, watch, delete.

A task is a type and JSON, so none of this needs the application.
"""

import sys
from typing import Annotated

import typer

from jetq.cli import options
from jetq.cli.choosing import Filters, Once, Parents, Tries, Where
from jetq.cli.expanding import expanded

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Add tasks and look after them; ls and rm are list and delete."
)

TaskId = Annotated[str, typer.Argument(metavar="ID", help="A task's id.")]
STDIN = "-"


@commands.command("add")
@expanded
def add(
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="The task type, such as email:new.")],
    payload: Annotated[str | None, typer.Argument(metavar="JSON|-", help="The payload; - reads stdin.")] = None,
    *,
    queue: Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Its queue, else DEFAULT.")] = None,
    task_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="Your own id for it.")] = None,
    delay: Annotated[str | None, typer.Option(metavar="TIME", help="Runs that much later, e.g. 90 or 1h30m.")] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="Is not started any more after that much time.")
    ] = None,
    tries: Tries,
    once: Once,
    parents: Parents,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for its end and print its result.")] = False,
    timeout: Annotated[str | None, typer.Option(metavar="TIME", help="With --wait: give up after that.")] = None,
    sign: options.Sign = None,
    where: Where,
) -> None:
    """
    Enqueue a task of any type and print its id.

    With --wait, print its result as JSON; the exit status is 1 if it ended without one.
    """
    from jetq.cli.adding import Wish, enqueue, parse_unique
    from jetq.cli.chosen import settings_at
    from jetq.cli.signing import with_keys

    text = sys.stdin.read() if payload == STDIN else payload
    key = parse_unique(once.unique, once.unique_mode, once.unique_period)
    wish = Wish.parse(
        task_type,
        text,
        queue=queue,
        task_id=task_id,
        delay=delay,
        deadline=deadline,
        tries=tries,
        unique=key,
        parents=parents,
    )
    settings = with_keys(settings_at(where), sign=sign)
    enqueue(wish, settings, wait=wait, timeout=timeout, as_json=where.as_json)


@commands.command("view")
@expanded
def view(
    task_id: TaskId,
    *,
    verify: options.Verify = None,
    where: Where,
) -> None:
    """
    Show one task in full.

    With its payload, its result, and what its signature is worth.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.render import print_fields, print_json
    from jetq.cli.session import in_session
    from jetq.cli.signing import describe_signature, with_keys
    from jetq.cli.task_page import view_fields, view_object

    settings = with_keys(settings_at(where), verify=verify)
    found = in_session(settings, lambda session: session.inspector.view_task(task_id))
    signature = describe_signature(found.document, settings.signing)
    if where.as_json:
        print_json(view_object(found, signature))
    else:
        print_fields(view_fields(found, signature))


@commands.command("list")
@commands.command("ls", hidden=True)
@expanded
def list_tasks(
    *,
    filters: Filters,
    limit: Annotated[int, typer.Option("--limit", "-l", metavar="N", help="So many at most; 0 is all.")] = 200,
    where: Where,
) -> None:
    """List tasks, those that changed last first."""
    from jetq.cli.chosen import settings_at, tasks_like
    from jetq.cli.session import in_session
    from jetq.cli.task_page import print_listing

    wanted = tasks_like(filters, limit=limit)
    listing = in_session(settings_at(where), lambda session: session.inspector.list_tasks(wanted))
    print_listing(listing, as_json=where.as_json)


@commands.command("watch")
@expanded
def watch(
    task_id: Annotated[str | None, typer.Argument(metavar="ID", help="Only this task.")] = None,
    *,
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only these; repeated or comma-separated.")
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", metavar="NAME", help="Only this queue's.")] = None,
    task_type: Annotated[
        str | None, typer.Option("--type", "-t", metavar="TYPE", help="Only this type's; * stands for anything.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress", help="Also what handlers say of their progress.")] = False,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N events.")] = None,
    where: Where,
) -> None:
    """
    Show state changes as they happen.

    Until Ctrl-C, or --count of them. With --json, an object a line.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.watching import watch_tasks
    from jetq.wire.event_filter import EventFilter

    wanted = EventFilter(
        task_id=task_id, queue=queue, task_type=task_type, states=options.split_names(state), progress=progress
    )
    watch_tasks(settings_at(where), wanted, count=count, as_json=where.as_json)


@commands.command("history")
@expanded
def history(task_id: TaskId, *, where: Where) -> None:
    """
    Show what happened to a task, also if it was deleted.

    It needs a stream of events, which is off by default: jetq tasks configure --events-kept 7d keeps what happens from
    then on. Without it, what the task's record tells is shown, and the exit status is 1.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.history_page import show_history

    show_history(settings_at(where), task_id, as_json=where.as_json)
