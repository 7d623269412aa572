"""
main: the ``jetq`` command.

Commands import what they need when they run, so that ``jetq --help`` and completion stay quick.
"""

import sys
from typing import Annotated

import typer

from jetq.cli import (
    beat,
    cron,
    explaining,
    flows,
    keys,
    operations,
    options,
    processing,
    queues,
    repairing,
    serve,
    server,
    stores,
    tasks,
    worker,
    workers,
)
from jetq.cli.exits import FAILED, status_of
from jetq.errors import AppLoadError, HookFailedError, JetqError, ProcessStartError
from jetq.wire.version import version

app = typer.Typer(
    name="jetq",
    help="Tasks on NATS JetStream. Exit status: 0 done, 1 failed, 2 wrong usage, 3 no usable server.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("worker")(worker.worker)
app.command("dev")(worker.dev)
app.command("serve")(serve.serve)
app.command("explain")(explaining.explain)
tasks.commands.command("cancel")(operations.cancel)
tasks.commands.command("retry")(operations.retry)
tasks.commands.command("run-now")(operations.run_now)
tasks.commands.command("change")(operations.change)
tasks.commands.command("delete")(operations.delete)
tasks.commands.command("rm", hidden=True)(operations.delete)
tasks.commands.command("process")(processing.process)
tasks.commands.command("purge")(stores.purge)
tasks.commands.command("initialize")(stores.initialize)
tasks.commands.command("init", hidden=True)(stores.initialize)
tasks.commands.command("configure")(stores.configure)
tasks.commands.command("repair")(repairing.repair)
app.add_typer(beat.commands, name="beat")
app.add_typer(cron.commands, name="cron")
app.add_typer(tasks.commands, name="tasks")
app.add_typer(flows.commands, name="flow")
app.add_typer(queues.commands, name="queues")
app.add_typer(workers.commands, name="workers")
app.add_typer(keys.commands, name="keys")
app.add_typer(server.commands, name="server")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jetq {version()}")
        raise typer.Exit


@app.callback()
def _common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command("info")
def info(
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    as_json: options.AsJson = False,
) -> None:
    """Show the server, and what the namespace holds there."""
    from jetq.cli.queue_page import print_overview
    from jetq.cli.session import Session, in_session, settings_for

    async def work(session: Session) -> None:
        print_overview(await session.inspector.describe_all(), session.address.source, as_json=as_json)

    in_session(settings_for(servers, context, namespace), work)


def main() -> None:
    """Run the command line; an error is one sentence on stderr and an exit status."""
    try:
        app(prog_name="jetq")
    except JetqError as error:
        _explain(error)
        sys.exit(status_of(error))
    except OSError as error:
        typer.echo(f"jetq: {error}", err=True)
        sys.exit(FAILED)


def _explain(error: JetqError) -> None:
    told = ""
    if isinstance(error, AppLoadError | HookFailedError) and error.__cause__ is not None:
        from jetq.runtime.loading import own_traceback

        told = own_traceback(error.__cause__)
    elif isinstance(error, ProcessStartError):
        told = error.remote_traceback
    if told:
        typer.echo(told, err=True)
    typer.echo(f"jetq: {error}", err=True)
