"""
worker: ``jetq worker`` and ``jetq dev``.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from jetq.cli import options
from jetq.settings import DEFAULT_CONCURRENCY, STATE_FOLDER

_STORE: Final = Path(STATE_FOLDER) / "store"


def worker(
    target: options.Target,
    *,
    queues: options.Queues = None,
    concurrency: options.Concurrency = DEFAULT_CONCURRENCY,
    burst: options.Burst = False,
    shutdown_timeout: options.ShutdownTimeout = "25s",
    embedded: options.Embedded = False,
    store: options.Store = None,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    verify: options.Verify = None,
    signatures_optional: options.SignaturesOptional = False,
    metrics: options.Metrics = None,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "auto",
    app_dir: options.AppDir = None,
    uvloop: options.Uvloop = "auto",
    parent_pipe: options.ParentPipe = None,
) -> None:
    """
    Run tasks until TERM or Ctrl-C.

    The first lets running tasks end, a second stops them at once, a third kills the worker.
    """
    from jetq.cli.durations import parse_duration
    from jetq.cli.serving import choose_uvloop, configure_logs, parse_address
    from jetq.cli.signing import trust
    from jetq.runtime.loading import load_app
    from jetq.runtime.worker_process import Place, run_worker
    from jetq.settings import WorkerSettings

    patience = parse_duration("--shutdown-timeout", shutdown_timeout)
    settings = WorkerSettings(concurrency=concurrency, shutdown_timeout=patience, burst=burst)
    place = Place(servers=servers, context=context, namespace=namespace, embedded=embedded, store=store)
    place = replace(place, announced=parent_pipe is not None)
    loop, page = choose_uvloop(uvloop), parse_address("--metrics", metrics)
    app = load_app(target, app_dir)
    trust(app, verify, optional=signatures_optional)
    configure_logs(log_level, log_format, sys.stderr)
    names = options.split_names(queues)
    run_worker(app, queues=names, settings=settings, place=place, uvloop=loop, parent_pipe=parent_pipe, metrics=page)


def dev(
    target: options.Target,
    *,
    queues: options.Queues = None,
    concurrency: options.Concurrency = DEFAULT_CONCURRENCY,
    store: options.KeptStore = _STORE,
    namespace: options.Namespace = None,
    metrics: options.Metrics = None,
    log_level: options.LogLevel = "debug",
    log_format: options.LogFormat = "auto",
    app_dir: options.AppDir = None,
) -> None:
    """
    Run a server and a worker, for development.

    The worker starts anew when a Python file changes; the server stays, with its data. Other terminals in this folder
    find the server by themselves: jetq tasks list.
    """
    from jetq.cli.serving import configure_logs, parse_address
    from jetq.runtime.reloading import Reloader

    parse_address("--metrics", metrics)
    configure_logs(log_level, log_format, sys.stderr)
    arguments = [target, "--concurrency", str(concurrency), "--log-level", log_level, "--log-format", log_format]
    given = ("--queues", queues), ("--namespace", [namespace]), ("--app-dir", [app_dir]), ("--metrics", [metrics])
    for option, values in given:
        for value in values or ():
            arguments += [] if value is None else [option, str(value)]
    Reloader(arguments, app_dir or Path.cwd()).run(store)
