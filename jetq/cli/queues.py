"""
queues: ``jetq queues``: add, list, info, configure, pause, resume, purge, delete.
"""

from typing import Annotated

import typer

from jetq.cli import options
from jetq.cli.choosing import Where
from jetq.cli.expanding import expanded

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Create queues and look after them; ls and rm are list and delete.",
)

Name = Annotated[str, typer.Argument(metavar="QUEUE", help="The queue's name.")]
MaxAge = Annotated[
    str | None, typer.Option(metavar="TIME", help="An item that nobody took is dropped after that; 0 keeps it.")
]
MaxEntries = Annotated[int | None, typer.Option(metavar="N", help="Items that it holds; 0 is unlimited.")]
DiscardOld = Annotated[
    bool | None,
    typer.Option("--discard-old/--discard-new", help="A full queue drops its oldest item, or refuses the new one."),
]
MaxTries = Annotated[int | None, typer.Option(metavar="N", help="Tries of each task at most; 0 is unlimited.")]
MaxRunTime = Annotated[str | None, typer.Option(metavar="TIME", help="How long a task may run.")]
MaxConcurrent = Annotated[int | None, typer.Option(metavar="N", help="Tasks that run at one time, over all workers.")]
Lease = Annotated[str | None, typer.Option(metavar="TIME", help="A dead worker's task runs elsewhere after that.")]


@commands.command("add")
@expanded
def add(
    name: Name,
    *,
    max_age: MaxAge = None,
    max_entries: MaxEntries = None,
    discard_old: DiscardOld = None,
    max_tries: MaxTries = None,
    max_run_time: MaxRunTime = None,
    max_concurrent: MaxConcurrent = None,
    lease: Lease = None,
    replicas: Annotated[int, typer.Option(metavar="N", help="Copies in a cluster, 1 to 5.")] = 1,
    storage: Annotated[str, typer.Option(metavar="KIND", help="file or memory.")] = "file",
    where: Where,
) -> None:
    """
    Create a queue.

    One that exists keeps its limits; configure changes them.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.queue_page import Limits, print_added
    from jetq.cli.session import Session, in_session

    limits = Limits.parse(
        max_age=max_age,
        max_entries=max_entries,
        discard_old=discard_old,
        max_tries=max_tries,
        max_run_time=max_run_time,
        max_concurrent=max_concurrent,
        lease=lease,
        replicas=replicas,
    )
    queue = limits.queue(name, storage=storage)

    async def work(session: Session) -> None:
        created = await session.operator.add_queue(queue)
        print_added(await session.inspector.describe_queue(name), created=created, as_json=where.as_json)

    in_session(settings_at(where), work)


@commands.command("list")
@commands.command("ls", hidden=True)
@expanded
def list_queues(*, where: Where) -> None:
    """List the queues with what they hold."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.queue_page import print_queues
    from jetq.cli.session import in_session

    found = in_session(settings_at(where), lambda session: session.inspector.list_queues())
    print_queues(found, as_json=where.as_json)


@commands.command("info")
@expanded
def info(name: Name, *, where: Where) -> None:
    """Show one queue: what it holds, and its limits."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.queue_page import print_queue
    from jetq.cli.session import in_session

    settings = settings_at(where)
    print_queue(in_session(settings, lambda session: session.inspector.describe_queue(name)), as_json=where.as_json)


@commands.command("configure")
@expanded
def configure(
    name: Name,
    *,
    max_age: MaxAge = None,
    max_entries: MaxEntries = None,
    discard_old: DiscardOld = None,
    max_tries: MaxTries = None,
    max_run_time: MaxRunTime = None,
    max_concurrent: MaxConcurrent = None,
    lease: Lease = None,
    replicas: Annotated[
        int | None,
        typer.Option(metavar="N", help="Copies in a cluster, 1 to 5; the first ones hold up enqueues for some 10 s."),
    ] = None,
    where: Where,
) -> None:
    """
    Change limits of a queue.

    They count at once. What is not named stays.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.queue_page import Limits, print_queue
    from jetq.cli.session import in_session

    limits = Limits.parse(
        max_age=max_age,
        max_entries=max_entries,
        discard_old=discard_old,
        max_tries=max_tries,
        max_run_time=max_run_time,
        max_concurrent=max_concurrent,
        lease=lease,
        replicas=replicas,
    )
    changes = limits.changes()
    changed = in_session(settings_at(where), lambda session: session.operator.configure_queue(name, changes))
    print_queue(changed, as_json=where.as_json)


@commands.command("pause")
@expanded
def pause(
    name: Name,
    *,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="It goes on by itself after that; else resume it.")
    ] = None,
    where: Where,
) -> None:
    """
    Let no worker take tasks of a queue.

    The server keeps that. What runs goes on; what is enqueued or due waits.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.durations import parse_duration
    from jetq.cli.queue_page import print_paused
    from jetq.cli.session import in_session
    from jetq.model.quantity import seconds

    limit = None if duration is None else seconds("--for", parse_duration("--for", duration), least=0.001)
    found = in_session(settings_at(where), lambda session: session.operator.pause_queue(name, limit))
    print_paused(found, as_json=where.as_json)


@commands.command("resume")
@expanded
def resume(name: Name, *, where: Where) -> None:
    """Let workers take tasks of a paused queue again."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.queue_page import print_paused
    from jetq.cli.session import in_session

    found = in_session(settings_at(where), lambda session: session.operator.resume_queue(name))
    print_paused(found, as_json=where.as_json)


@commands.command("purge")
@expanded
def purge(
    name: Name,
    *,
    force: options.Force = False,
    where: Where,
) -> None:
    """
    End all tasks that are queued, and remove their items.

    Their state is expired, and the reason is purged. What runs goes on, and what waits for its time waits on.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.render import print_json
    from jetq.cli.session import in_session
    from jetq.cli.terminal import confirm

    confirm(f"Remove all items of the queue {name}?", force=force)
    count = in_session(settings_at(where), lambda session: session.operator.purge_queue(name))
    if where.as_json:
        print_json({"queue": name, "purged": count})
    else:
        typer.echo(f"removed {count:,} items of {name}")


@commands.command("delete")
@commands.command("rm", hidden=True)
@expanded
def delete(
    name: Name,
    *,
    force: options.Force = False,
    where: Where,
) -> None:
    """
    End all tasks that are queued, and remove the queue.

    What waits for its time waits on, and comes into a queue of the same name if there is one then.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.render import print_json
    from jetq.cli.session import in_session
    from jetq.cli.terminal import confirm

    confirm(f"Delete the queue {name} with its items?", force=force)
    in_session(settings_at(where), lambda session: session.operator.delete_queue(name))
    if where.as_json:
        print_json({"queue": name, "deleted": True})
    else:
        typer.echo(f"deleted {name}")
