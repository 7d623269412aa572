"""
beat_preview: ``jetq beat preview``: what schedules will do, before they do it.
"""

from typing import Annotated

import typer

from jetq.cli import options


def preview(
    target: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:APP]", help="Show the schedules that an App declares; needs no server."),
    ] = None,
    *,
    spec: Annotated[
        str | None,
        typer.Option("--spec", metavar="SPEC", help="Show a schedule that is written here; needs no server."),
    ] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", metavar="ZONE", help="Time zone of --spec.")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Show one schedule alone.")] = None,
    days: Annotated[
        int, typer.Option("--days", min=0, max=4000, help="How far ahead to look for changes of the clock.")
    ] = 400,
    count: Annotated[
        int, typer.Option("--next", min=0, max=1000, help="How many of the next occurrences to show.")
    ] = 5,
    as_json: options.AsJson = False,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    app_dir: options.AppDir = None,
) -> None:
    """
    Show what schedules will do.

    Each has its next occurrences, and all those of the next 400 days that move, come twice or are left out since the
    clock is put forward or back. Without MODULE:APP and --spec the stored schedules are shown.
    """
    from datetime import UTC, datetime

    from jetq.cli.preview_page import of_application, of_spec, of_store, print_previews
    from jetq.cli.session import settings_for

    if spec is not None or timezone is not None:
        tables = of_spec(spec, timezone, beside=target)
    elif target is not None:
        tables = of_application(target, app_dir, name)
    else:
        tables = of_store(settings_for(servers, context, namespace), name)
    print_previews(tables, datetime.now(UTC), days=days, count=count, as_json=as_json)
