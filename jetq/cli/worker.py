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
    strict: options.Strict = False,
    exclude: options.Exclude = None,
    concurrency: options.Concurrency = DEFAULT_CONCURRENCY,
    processes: options.Processes = None,
    burst: options.Burst = False,
    beat: options.Beat = False,
    shutdown_timeout: options.ShutdownTimeout = "25s",
    embedded: options.Embedded = False,
    store: options.Store = None,
    servers: options.Servers = None,
    context: options.Context = None,
    namespace: options.Namespace = None,
    verify: options.Verify = None,
    signatures_optional: options.SignaturesOptional = False,
    metrics: options.Metrics = None,
    health: options.Health = None,
    max_tasks_per_child: options.MaxTasksPerChild = None,
    max_memory_per_child: options.MaxMemoryPerChild = None,
    child_timeout: options.ChildTimeout = None,
    pool_processes: options.PoolProcesses = None,
    max_tasks_per_process: options.MaxTasksPerProcess = None,
    max_memory_per_process: options.MaxMemoryPerProcess = None,
    pidfile: options.PidFile = None,
    reload: options.Reload = False,
    log_level: options.LogLevel = "info",
    log_format: options.LogFormat = "auto",
    app_dir: options.AppDir = None,
    uvloop: options.Uvloop = "auto",
    parent_pipe: options.ParentPipe = None,
    child: options.Child = None,
) -> None:
    """
    Run tasks until TERM or Ctrl-C.

    The first lets running tasks end, a second stops them at once, a third kills the worker. With -p, HUP restarts one
    process after the other.
    """
    from jetq.cli.durations import parse_duration
    from jetq.cli.serving import choose_uvloop, configure_logs, log_stream, parse_address, with_processes
    from jetq.cli.signing import trust
    from jetq.cli.supervising import ChildOptions, supervise
    from jetq.runtime.loading import load_app
    from jetq.runtime.supervised import Inherited
    from jetq.runtime.worker_process import Place, run_worker
    from jetq.settings import WorkerSettings

    patience = parse_duration("--shutdown-timeout", shutdown_timeout)
    settings = replace(WorkerSettings.from_env(), concurrency=concurrency, shutdown_timeout=patience, burst=burst)
    settings = replace(settings, strict=strict, exclude=options.split_names(exclude))
    settings = with_processes(settings, pool_processes, max_tasks_per_process, max_memory_per_process)
    place = Place(servers=servers, context=context, namespace=namespace, embedded=embedded, store=store)
    loop, page, probes = choose_uvloop(uvloop), parse_address("--metrics", metrics), parse_address("--health", health)
    children = ChildOptions(
        processes=processes,
        max_tasks_per_child=max_tasks_per_child,
        max_memory_per_child=max_memory_per_child,
        child_timeout=child_timeout,
        pidfile=pidfile,
        watched=(app_dir or Path.cwd()) if reload else None,
    )
    if child is None and children.ask_for_supervisor:
        logs = {"log_level": log_level, "log_format": log_format}
        supervise(children, settings, place, metrics=page, health=probes, parent_pipe=parent_pipe, **logs)
    inherited = None if child is None else Inherited.read(child)
    if inherited is None:
        place = replace(place, announced=parent_pipe is not None)
    else:
        place, parent_pipe = replace(place, embedded=False, store=None, announced=embedded), None
    app = load_app(target, app_dir)
    trust(app, verify, optional=signatures_optional)
    configure_logs(
        log_level, log_format, log_stream(app) if inherited is None else inherited.log_stream(sys.stderr.fileno())
    )
    run_worker(
        app,
        queues=options.split_weights(queues),
        settings=settings,
        place=place,
        uvloop=loop,
        parent_pipe=parent_pipe,
        metrics=page,
        health=probes,
        beat=beat,
        supervision=None if inherited is None else inherited.supervision(counts=(page or probes) is not None),
    )


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
    Run a server, a worker and a scheduler, for development.

    The worker, which makes the tasks of schedules too, starts anew when a Python file changes; the server stays, with
    its data. Other terminals in this folder find the server by themselves: jetq tasks list.
    """
    from jetq.cli.serving import configure_logs, parse_address
    from jetq.runtime.reloading import Reloader

    parse_address("--metrics", metrics)
    configure_logs(log_level, log_format, sys.stderr)
    arguments = [
        target,
        "--beat",
        "--concurrency",
        str(concurrency),
        "--log-level",
        log_level,
        "--log-format",
        log_format,
    ]
    given = ("--queues", queues), ("--namespace", [namespace]), ("--app-dir", [app_dir]), ("--metrics", [metrics])
    for option, values in given:
        for value in values or ():
            arguments += [] if value is None else [option, str(value)]
    Reloader(arguments, app_dir or Path.cwd()).run(store)
