"""
workers: ``jetq workers``: list, ping, inspect, quiet, stop.
"""

from typing import Annotated

import typer

from jetq.cli import options

commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="See which workers live, and what they do; ls is list."
)

Worker = Annotated[str, typer.Argument(metavar="ID", help="The worker's id, or enough of its beginning or end.")]
Workers = Annotated[list[str], typer.Argument(metavar="ID...", help="Workers' ids, or enough of each.")]
SomeWorkers = Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Workers' ids; all if none.")]


@commands.command("list")
@commands.command("ls", hidden=True)
def list_workers(
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """List the workers that live, and how busy they are."""
    from jetq.cli.session import in_session, settings_for
    from jetq.cli.worker_page import print_workers

    found = in_session(settings_for(servers, context, namespace), lambda session: session.workers.list_workers())
    print_workers(found, as_json=as_json)


@commands.command("ping")
def ping(
    workers: SomeWorkers = None,
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """
    Ask workers for a sign of life.

    The exit status is 1 if one that is listed does not answer, or none lives. A worker answers also while a handler
    blocks its event loop.
    """
    from jetq.admin.workers import Ping, chosen
    from jetq.cli.exits import FAILED
    from jetq.cli.session import Session, in_session, settings_for
    from jetq.cli.worker_page import print_pings

    async def work(session: Session) -> list[Ping]:
        ids = [info.worker for info in await session.workers.list_workers()]
        return await session.workers.ping_all([chosen(worker, ids) for worker in workers] if workers else ids)

    pings = in_session(settings_for(servers, context, namespace), work)
    print_pings(pings, as_json=as_json)
    if not pings or any(each.ms is None for each in pings):
        raise typer.Exit(FAILED)


@commands.command("inspect")
def inspect(
    worker: Worker,
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """Show a worker, and the tasks that it runs now."""
    from jetq.cli.session import Session, in_session, settings_for
    from jetq.cli.worker_page import print_worker

    async def work(session: Session) -> None:
        info = await session.workers.find(worker)
        print_worker(info, await session.workers.inspect(info.worker), as_json=as_json)

    in_session(settings_for(servers, context, namespace), work)


@commands.command("quiet")
def quiet(
    workers: Workers,
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """
    Let workers take no more tasks.

    What runs goes on, and the worker stays until it is stopped.
    """
    from jetq.cli.session import Session, in_session, settings_for
    from jetq.cli.worker_page import print_orders

    async def work(session: Session) -> None:
        found = [await session.workers.find(worker) for worker in workers]
        running = {info.worker: await session.workers.quiet(info.worker) for info in found}
        print_orders(running, "quiet", "takes no more tasks", as_json=as_json)

    in_session(settings_for(servers, context, namespace), work)


@commands.command("stop")
def stop(
    workers: Workers,
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """
    Let workers end, as TERM does.

    Running tasks get the worker's shutdown time-out, then they go back to their queues. A worker with a supervisor (-p)
    is replaced by another one; stop the supervisor to stop them all.
    """
    from jetq.cli.session import Session, in_session, settings_for
    from jetq.cli.worker_page import print_orders

    async def work(session: Session) -> None:
        found = [await session.workers.find(worker) for worker in workers]
        running = {info.worker: await session.workers.stop(info.worker) for info in found}
        print_orders(running, "stop", "stops", as_json=as_json)

    in_session(settings_for(servers, context, namespace), work)
