"""
workers: ``jetq workers``: list, ping, inspect, quiet, stop.
"""

from typing import Annotated, Literal

import typer

from jetq.cli.choosing import Where
from jetq.cli.expanding import expanded

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="See which workers live, and what they do; ls is list."
)

Worker = Annotated[str, typer.Argument(metavar="ID", help="The worker's id, or enough of its beginning or end.")]
Workers = Annotated[list[str], typer.Argument(metavar="ID...", help="Workers' ids, or enough of each.")]
SomeWorkers = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Workers' ids; all if none.")]


@commands.command("list")
@commands.command("ls", hidden=True)
@expanded
def list_workers(*, where: Where) -> None:
    """List the workers that live, and how busy they are."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.session import in_session
    from jetq.cli.worker_page import print_workers

    found = in_session(settings_at(where), lambda session: session.workers.list_workers())
    print_workers(found, as_json=where.as_json)


@commands.command("ping")
@expanded
def ping(workers: SomeWorkers = None, *, where: Where) -> None:
    """
    Ask workers for a sign of life.

    The exit status is 1 if one that is listed does not answer, or none lives. A worker answers also while a handler
    blocks its event loop.
    """
    from jetq.admin.workers import Ping, chosen
    from jetq.cli.chosen import settings_at
    from jetq.cli.exits import FAILED
    from jetq.cli.session import Session, in_session
    from jetq.cli.worker_page import print_pings

    async def work(session: Session) -> list[Ping]:
        ids = [info.worker for info in await session.workers.list_workers()]
        return await session.workers.ping_all([chosen(worker, ids) for worker in workers] if workers else ids)

    pings = in_session(settings_at(where), work)
    print_pings(pings, as_json=where.as_json)
    if not pings or any(each.ms is None for each in pings):
        raise typer.Exit(FAILED)


@commands.command("inspect")
@expanded
def inspect(worker: Worker, *, where: Where) -> None:
    """Show a worker, and the tasks that it runs now."""
    from jetq.cli.chosen import settings_at
    from jetq.cli.session import Session, in_session
    from jetq.cli.worker_page import print_worker

    async def work(session: Session) -> None:
        info = await session.workers.find(worker)
        print_worker(info, await session.workers.inspect(info.worker), as_json=where.as_json)

    in_session(settings_at(where), work)


@commands.command("quiet")
@expanded
def quiet(workers: Workers, *, where: Where) -> None:
    """
    Let workers take no more tasks.

    What runs goes on, and the worker stays until it is stopped.
    """
    _order(workers, where, "quiet", "takes no more tasks")


@commands.command("stop")
@expanded
def stop(workers: Workers, *, where: Where) -> None:
    """
    Let workers end, as TERM does.

    Running tasks get the worker's shutdown time-out, then they go back to their queues. A worker with a supervisor (-p)
    is replaced by another one; stop the supervisor to stop them all.
    """
    _order(workers, where, "stop", "stops")


def _order(workers: list[str], where: Where, order: Literal["quiet", "stop"], does: str) -> None:
    from jetq.cli.chosen import settings_at
    from jetq.cli.session import Session, in_session
    from jetq.cli.worker_page import print_orders

    async def work(session: Session) -> None:
        found = [await session.workers.find(worker) for worker in workers]
        give = session.workers.quiet if order == "quiet" else session.workers.stop
        running = {info.worker: await give(info.worker) for info in found}
        print_orders(running, order, does, as_json=where.as_json)

    in_session(settings_at(where), work)
