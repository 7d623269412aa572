"""
beat: ``jetq beat``: run a scheduler.
"""

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jetq.cli import options
from jetq.cli.beat_preview import preview

_DEFAULT = "run"


class _Group(TyperGroup):
    """Commands of which one is meant where none is named: ``jetq beat shop:app`` is ``jetq beat run shop:app``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command there that is meant."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [_DEFAULT, *args]
        return super().parse_args(ctx, args)


commands = typer.Typer(
    cls=_Group, rich_markup_mode=None, help="Run a scheduler (jetq beat [MODULE:APP]), or look ahead."
)


@commands.command(_DEFAULT)
def run(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:APP]", help="An App whose schedules are stored first; without one, those stored are run."
        ),
    ] = None,
    *,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    sign: options.Sign = None,
    metrics: options.Metrics = None,
    health: options.Health = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "auto",
    app_dir: options.AppDir = None,
    uvloop: options.Uvloop = "auto",
) -> None:
    """
    Make the tasks of schedules until TERM or Ctrl-C.

    Run two or three, on different machines: one of them leads, and when it dies another one goes on within seconds.
    No task is made twice.
    """
    from jetq.app.application import App
    from jetq.cli.serving import choose_uvloop, configure_logs, parse_address
    from jetq.cli.signing import with_keys
    from jetq.runtime.beat_process import run_beat
    from jetq.runtime.loading import load_app
    from jetq.runtime.worker_process import Place
    from jetq.settings import Settings

    place = Place(servers=servers, context=context, namespace=namespace)
    loop, page, probes = choose_uvloop(uvloop), parse_address("--metrics", metrics), parse_address("--health", health)
    app = App("jetq", settings=Settings.from_env()) if target is None else load_app(target, app_dir)
    if sign is not None:
        app.reconfigure(with_keys(app.settings, sign=sign))
    configure_logs(log_level, log_format, sys.stderr)
    run_beat(app, deploys=target is not None, place=place, uvloop=loop, metrics=page, health=probes)


commands.command("preview")(preview)
