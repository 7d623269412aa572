"""
process_plan: what runs the handlers of an application, and whether it needs processes of its own.
"""

import os
import sys
from typing import Any, Final

from jetq.app.application import App
from jetq.app.origin import origin_of
from jetq.errors import HandlerSignatureError
from jetq.execution.executor import Executor
from jetq.execution.handler_process import Launch
from jetq.execution.process_pool import ProcessPool
from jetq.execution.task_file import sweep
from jetq.jetstream.server_clock import ServerClock
from jetq.model.quantity import seconds
from jetq.observe.bus import Bus
from jetq.observe.log_setup import configured
from jetq.routing.handler import Handler
from jetq.settings import WorkerSettings
from jetq.wire.process_call import Begin

PROGRAM: Final = "jetq.runtime.pool_program"
"""What runs in a process of the pool."""


def handlers_in_processes(app: App) -> list[Handler]:
    """
    Return the handlers that run in processes of their own; others of the application do not concern those.

    Raises:
        HandlerSignatureError: Another process could not find one, or the system has no such processes.
        AppLoadError: Another process could not find the application.
    """
    found = [handler for handler in app.router.handlers if handler.kind == "process"]
    for handler in found:
        if handler.function.__module__ == "__main__":
            reason = "pool='process' needs it in a module that can be imported, not in the program that is run; move it"
            raise HandlerSignatureError(handler.name, reason)
        if sys.platform == "win32":
            raise HandlerSignatureError(handler.name, "there is no pool='process' on Windows; use pool='thread'")
    if found:
        origin_of(app)
    return found


def process_pool(app: App, settings: WorkerSettings, worker: str, bus: Bus, clock: ServerClock) -> ProcessPool | None:
    """Return a pool for a worker, not started; None if no handler needs one."""
    if not handlers_in_processes(app):
        return None
    import pickle  # noqa: PLC0415 - costs start-up time, and few applications have processes for handlers

    log = configured()
    begin = Begin(
        application=origin_of(app),
        path=[str(folder) for folder in sys.path],
        namespace=app.settings.namespace,
        address=pickle.dumps(app.address()),
        worker=worker,
        log_level="" if log is None else log.level,
        log_format="" if log is None else log.log_format,
        log_colors=log is not None and log.colors,
        log_lock=-1 if log is None else log.lock,
        measures=settings.max_memory_per_process is not None,
    )
    return ProcessPool(
        Launch(program=PROGRAM, begin=begin),
        size=settings.pool_processes or _cores(),
        max_tasks=settings.max_tasks_per_process,
        max_memory=settings.max_memory_per_process,
        patience=seconds("hook_timeout", settings.hook_timeout),
        tell=bus.emit,
        now=clock.now,
    )


def executor_for(app: App, settings: WorkerSettings, processes: ProcessPool | None, state: Any) -> Executor:
    """
    Return what runs the handlers of an application, whose lifespan yielded *state*.

    Where some may be commands, what those of workers that were killed left behind is removed first.
    """
    if any(handler.hands_on for handler in app.router.handlers):
        sweep()
    return Executor(
        threads=settings.threads or settings.concurrency,
        middleware=app.middleware,
        logger=app.logger,
        enqueuer=app,
        errors=app.error_rules,
        processes=processes,
        state=state,
    )


def _cores() -> int:
    """Return the processors that this process may use."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:
        return os.cpu_count() or 1
