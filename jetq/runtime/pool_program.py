"""
pool_program: what runs in a process for handlers, from its start to its end.

It loads the application, configures the log as its worker's is, runs the start hooks, takes calls (the room
`execution` knows how) until the worker says that it is enough, and runs the stop hooks. When the worker dies, the
process dies with it, and with it all that its handlers started, whatever it is doing at that moment.
"""

import contextlib
import fcntl
import os
import pickle
import select
import signal
import socket
import sys
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from jetq.app.application import App
from jetq.errors import AppLoadError
from jetq.execution.interrupts import Interrupts
from jetq.execution.process_child import Household, Line, ProcessServer
from jetq.observe.line_stream import shared_log
from jetq.observe.log_setup import LogFormat
from jetq.observe.logs import Log, configure
from jetq.routing.signature import function_name
from jetq.runtime.loading import load_app, own_traceback
from jetq.wire.process_call import Begin, Ready, Unready

_LOOK_EVERY: Final = 5.0
"""Seconds between two looks at who is the parent: a copy of it may hold the pipe open after its death."""
_SHARE_OF_BLAME: Final = 100
"""How much sooner than its worker the system is to kill this process when memory runs out, of 1,000."""


def main() -> None:
    """Serve one worker; the arguments are the descriptors of the socket and of the pipe."""
    end, lifeline = (int(argument) for argument in sys.argv[1:3])
    for descriptor in (end, lifeline):
        os.set_inheritable(descriptor, False)  # what a handler starts has nothing to do with it
    _die_with_parent(lifeline)
    _offer_oneself()
    interrupts = Interrupts()
    interrupts.install()
    line = Line(socket.socket(fileno=end), interrupts)
    begin = line.hear()
    if not isinstance(begin, Begin):
        return
    prepared = _prepared(begin, line)
    if prepared is None:
        sys.exit(1)
    app, state = prepared
    household = Household(
        handlers={handler.pattern: handler for handler in app.router.handlers},
        worker=begin.worker,
        errors=app.error_rules,
        logger=app.logger,
        enqueuer=app,
        state=state,
        measures=begin.measures,
    )
    line.say(Ready())
    ProcessServer(line, interrupts, household).serve()
    _stop(app)


def _die_with_parent(lifeline: int) -> None:
    """
    Let this process and its group die when the worker does.

    Linux kills them itself when the pipe closes (fcntl(2), F_SETSIG and F_SETOWN with a group), even if a handler never
    lets another thread run. Elsewhere, and if the worker died before this was said, a thread finds out.
    """
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            if select.select([lifeline], [], [], _LOOK_EVERY)[0]:
                break
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="jetq-lifeline", daemon=True).start()


def _offer_oneself() -> None:
    """Ask the system to kill this process before its worker when memory runs out; who may not ask goes without."""
    with contextlib.suppress(OSError, ValueError):
        file = Path("/proc/self/oom_score_adj")
        file.write_text(str(min(1000, int(file.read_text()) + _SHARE_OF_BLAME)))


def _prepared(begin: Begin, line: Line) -> tuple[App, Any] | None:
    """Return the application and what its start hooks returned, or say what is wrong."""
    sys.path[:] = begin.path
    try:
        app = _loaded(begin)
    except AppLoadError as error:
        line.say(Unready(str(error), own_traceback(error.__cause__) if error.__cause__ is not None else ""))
        return None
    state = None
    for hook in app.hooks.process_start:
        try:
            returned = hook()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code
            told = traceback.format_exception_only(error)[-1].strip()
            line.say(Unready(f"on_process_start {function_name(hook)} raised {told}", own_traceback(error)))
            return None
        state = state if returned is None else returned
    return app, state


def _loaded(begin: Begin) -> App:
    """
    Load the application, as its worker has it.

    Raises:
        AppLoadError: It leads to no App. If the user's code raised, that exception is the cause of this one.
    """
    folder = Path(begin.path[0]) if begin.path and begin.path[0] else None
    app = load_app(begin.application, folder)
    app.reconfigure(replace(app.settings, namespace=begin.namespace))
    app.connect_to(pickle.loads(begin.address))  # noqa: S301 - from the worker, whose program this is
    if begin.log_level:
        stream = sys.stderr if begin.log_lock < 0 else shared_log(sys.stderr.fileno(), begin.log_lock)
        configure(begin.log_level, cast("LogFormat", begin.log_format), stream=stream, colors=begin.log_colors)
    return app


def _stop(app: App) -> None:
    for hook in reversed(app.hooks.process_stop):
        try:
            hook()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code must not keep the process
            text = traceback.format_exception_only(error)[-1].strip()
            Log("jetq.worker").warning(
                "a hook failed",
                hook="on_process_stop",
                function=function_name(hook),
                error=text,
                exception=own_traceback(error),
            )
    app.close()
