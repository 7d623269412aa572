"""
cron: ``jetq cron``: add, view, list, delete, enable, disable, run, scheduler.
"""

import sys
from typing import Annotated

import typer

from jetq.cli import beat, options
from jetq.cli.choosing import Where
from jetq.cli.expanding import expanded
from jetq.cli.planning import Plan

commands = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Keep schedules for jetq beat; ls and rm are list and delete.",
)
commands.command("scheduler", help="Run a scheduler: jetq beat by its name in asyncjobs.")(beat.run)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]
STDIN = "-"


@commands.command("add")
@expanded
def add(
    name: Name,
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="When: '0 3 * * *', with seconds first if six fields, hourly, '@every 10m', '@at TIME'.",
        ),
    ],
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type of its tasks, such as report:new.")],
    payload: Annotated[str | None, typer.Argument(metavar="JSON|-", help="Their payload; - reads stdin.")] = None,
    *,
    plan: Plan,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a schedule of this name.")] = False,
    where: Where,
) -> None:
    """
    Store a schedule.

    Schedulers that run take it up at once. A word of cron may stand without its @.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.cron_page import Wish, add_schedule

    text = sys.stdin.read() if payload == STDIN else payload
    wish = Wish(name=name, spec=spec, task_type=task_type, payload=text, plan=plan)
    add_schedule(wish, settings_at(where), replace_it=replace, as_json=where.as_json)


@commands.command("list")
@commands.command("ls", hidden=True)
@expanded
def list_schedules(
    *,
    names: Annotated[bool, typer.Option("--names", help="Print the names only, one a line.")] = False,
    where: Where,
) -> None:
    """List the schedules, and when each is and was due."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.cron_page import print_names, print_schedules
    from jetq.cli.session import in_session

    found = in_session(settings_at(where), lambda session: session.schedules.list_all())
    if names:
        print_names(found, as_json=where.as_json)
    else:
        print_schedules(found, as_json=where.as_json)


@commands.command("view")
@expanded
def view(name: Name, *, where: Where) -> None:
    """Show one schedule in full."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.cron_page import print_schedule
    from jetq.cli.session import in_session

    found = in_session(settings_at(where), lambda session: session.schedules.view(name))
    print_schedule(found, as_json=where.as_json)


@commands.command("delete")
@commands.command("rm", hidden=True)
@expanded
def delete(name: Name, *, force: options.Force = False, where: Where) -> None:
    """
    Delete a schedule; its tasks stay.

    One that an application declares comes back with the next start of its scheduler; --force deletes it all the same.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.render import print_json
    from jetq.cli.session import in_session
    from jetq.cli.terminal import confirm

    confirm(f"Delete the schedule {name}?", force=force)
    in_session(settings_at(where), lambda session: session.schedules.remove(name, force=force))
    if where.as_json:
        print_json({"name": name, "deleted": True})
    else:
        typer.echo(f"deleted {name}")


@commands.command("enable")
@expanded
def enable(name: Name, *, where: Where) -> None:
    """
    Let a disabled schedule make tasks again.

    What it missed meanwhile is not made up for.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.cron_page import switch

    switch(settings_at(where), name, paused=False, as_json=where.as_json)


@commands.command("disable")
@expanded
def disable(name: Name, *, where: Where) -> None:
    """
    Let a schedule make no tasks until it is enabled.

    It stays so whatever is deployed.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.cron_page import switch

    switch(settings_at(where), name, paused=True, as_json=where.as_json)


@commands.command("run")
@expanded
def run(name: Name, *, sign: options.Sign = None, where: Where) -> None:
    """
    Make a task of a schedule now, and print its id.

    Its occurrences stay as they are.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.render import print_json
    from jetq.cli.session import in_session
    from jetq.cli.signing import with_keys

    task_id = in_session(with_keys(settings_at(where), sign=sign), lambda session: session.schedules.run(name))
    if where.as_json:
        print_json({"name": name, "id": task_id})
    else:
        typer.echo(task_id)
