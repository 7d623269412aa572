"""
serve: ``jetq serve``: answer workers in other languages, and of other applications, with an application's handlers.
"""

from typing import Annotated

import typer

from jetq.cli import options
from jetq.settings import DEFAULT_CONCURRENCY


def serve(
    target: options.Target,
    *,
    concurrency: Annotated[
        int, typer.Option("--concurrency", "-c", metavar="N", help="Handlers that run at one time; more wait.")
    ] = DEFAULT_CONCURRENCY,
    endpoints: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            "-e",
            metavar="NAME",
            help="Be called by this name alone, repeated or comma-separated: a task type, a route of asyncjobs such "
            "as email:, or catchall; else by all that follows from the handlers.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", metavar="NAME", help="Share the requests with all servers of this queue group; jetq-<app>."
        ),
    ] = None,
    shutdown_timeout: Annotated[
        str,
        typer.Option("--shutdown-timeout", metavar="TIME", help="What running handlers get to end once it stops."),
    ] = "25s",
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    verify: options.Verify = None,
    signatures_optional: options.SignaturesOptional = False,
    metrics: options.Metrics = None,
    health: options.Health = None,
    pool_processes: options.PoolProcesses = None,
    max_tasks_per_process: options.MaxTasksPerProcess = None,
    max_memory_per_process: options.MaxMemoryPerProcess = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "auto",
    app_dir: options.AppDir = None,
    uvloop: options.Uvloop = "auto",
) -> None:
    """
    Run handlers for workers elsewhere, which ask over NATS.

    It runs until TERM or Ctrl-C. Workers of asyncjobs and jetq ask for one task at a time, and do all the rest: this
    takes no task from any queue. Run several: each request goes to one of them. As a micro service of NATS they are
    seen by nats micro ls. (HTTP is served by jetq server run.)
    """
    from dataclasses import replace

    from jetq.cli.durations import parse_duration
    from jetq.cli.serving import choose_uvloop, configure_logs, log_stream, parse_address, with_processes
    from jetq.cli.signing import trust
    from jetq.runtime.loading import load_app
    from jetq.runtime.responder_process import run_responder
    from jetq.runtime.worker_process import Place
    from jetq.settings import WorkerSettings

    patience = parse_duration("--shutdown-timeout", shutdown_timeout)
    settings = replace(WorkerSettings.from_env(), concurrency=concurrency, shutdown_timeout=patience)
    settings = with_processes(settings, pool_processes, max_tasks_per_process, max_memory_per_process)
    place = Place(servers=servers, context=context, namespace=namespace)
    loop, page, probes = choose_uvloop(uvloop), parse_address("--metrics", metrics), parse_address("--health", health)
    app = load_app(target, app_dir)
    trust(app, verify, optional=signatures_optional)
    configure_logs(log_level, log_format, log_stream(app))
    run_responder(
        app,
        settings=settings,
        place=place,
        group=group,
        endpoints=options.split_names(endpoints),
        uvloop=loop,
        metrics=page,
        health=probes,
    )
