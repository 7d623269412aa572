"""
lifecycle: what an application does when its processes start and stop.

There are two kinds of processes. A worker process (one, or as many as ``jetq worker -p``) has an event loop and runs
async handlers and those in threads: ``lifespan``, ``on_worker_start`` and ``on_worker_stop`` are its. A pool process
belongs to a worker and runs handlers with ``pool="process"`` only, which are plain functions, without a loop:
``on_process_start`` and ``on_process_stop`` are its, and no lifespan, since what that makes belongs to a loop.
"""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from jetq.errors import InvalidSettingError
from jetq.routing.signature import function_name

_H = TypeVar("_H", bound=Callable[[], object])
_L = TypeVar(
    "_L",
    bound=Callable[[Any], AsyncIterator[Any]]
    | Callable[[Any], AsyncGenerator[Any, None]]
    | Callable[[Any], AbstractAsyncContextManager[Any]],
)
Hook = Callable[[], Any]

_LIFESPAN: Final = "an async generator function of the application, which yields once"


@dataclass
class Hooks:
    """
    What an application has registered; start hooks run in order, stop hooks in the opposite one.

    Attributes:
        worker_start, worker_stop: Of a worker process; sync or async.
        process_start, process_stop: Of a pool process; sync.
        lifespan: Returns the async context manager that a worker process lives in, given the application.
    """

    worker_start: list[Hook] = field(default_factory=list[Hook])
    worker_stop: list[Hook] = field(default_factory=list[Hook])
    process_start: list[Hook] = field(default_factory=list[Hook])
    process_stop: list[Hook] = field(default_factory=list[Hook])
    lifespan: Callable[[Any], AbstractAsyncContextManager[Any]] | None = None
    lifespan_name: str = ""


class Lifecycle:
    """
    Registers hooks. The part of App that its users see as ``.lifespan`` and ``.on_...``.

    Each method is a decorator, and gives the function back as it was.

    Attributes:
        origin: ``MODULE:ATTRIBUTE`` that led to the application, if somebody loaded it by name.
    """

    origin: str = ""

    @cached_property
    def hooks(self) -> Hooks:
        """What was registered."""
        return Hooks()

    def on_worker_start(self, function: _H) -> _H:
        """
        Call a function, sync or async, when a worker process starts, before it takes tasks; inside of the lifespan.

        What it raises ends the worker. A sync one is called in a thread, so it may block.

        Raises:
            InvalidSettingError: It takes parameters.
        """
        self.hooks.worker_start.append(_checked("on_worker_start", function))
        return function

    def on_worker_stop(self, function: _H) -> _H:
        """
        Call a function, sync or async, when a worker process stops, after the last task has ended.

        It may take as long as ``WorkerSettings.hook_timeout`` says. What it raises is logged.

        Raises:
            InvalidSettingError: It takes parameters.
        """
        self.hooks.worker_stop.append(_checked("on_worker_stop", function))
        return function

    def on_process_start(self, function: _H) -> _H:
        """
        Call a function when a process for ``pool="process"`` handlers starts, before its first call.

        What it returns is ``ctx.state`` of the handlers there; of several functions, what the last one returns that is
        not None. What it raises ends that process; in the first one, which starts with the worker, it ends the worker.

        Raises:
            InvalidSettingError: It takes parameters, or is async.
        """
        self.hooks.process_start.append(_checked("on_process_start", function, sync=True))
        return function

    def on_process_stop(self, function: _H) -> _H:
        """
        Call a function when a process for ``pool="process"`` handlers stops; not in one that is killed.

        It may take as long as ``WorkerSettings.hook_timeout`` says. What it raises is logged.

        Raises:
            InvalidSettingError: It takes parameters, or is async.
        """
        self.hooks.process_stop.append(_checked("on_process_stop", function, sync=True))
        return function

    def lifespan(self, function: _L) -> _L:
        """
        Let each worker process live inside of an async context.

        What comes before the ``yield`` is done before the first task, what comes after it when the last one has ended.
        What it yields is ``ctx.state`` of all handlers on the event loop and in threads.

        Args:
            function: ``async def lifespan(app): ...; yield state; ...``, with or without ``asynccontextmanager``.

        Raises:
            InvalidSettingError: It is no such function, or there is a lifespan already.
        """
        if self.hooks.lifespan is not None:
            raise InvalidSettingError("lifespan", function_name(function), "registered once")
        if not _takes(function, self):
            raise InvalidSettingError("lifespan", function_name(function), _LIFESPAN)
        given: Any = function
        if inspect.isasyncgenfunction(given):
            self.hooks.lifespan = asynccontextmanager(given)
        elif inspect.isasyncgenfunction(inspect.unwrap(given)):
            self.hooks.lifespan = given
        else:
            raise InvalidSettingError("lifespan", function_name(function), _LIFESPAN)
        self.hooks.lifespan_name = function_name(function)
        return function


def _checked(hook: str, function: Callable[..., Any], *, sync: bool = False) -> Hook:
    if not _takes(function):
        raise InvalidSettingError(hook, function_name(function), "a function that is called without arguments")
    if sync and inspect.iscoroutinefunction(function):
        wanted = "a plain function, since there is no event loop in a process for sync handlers"
        raise InvalidSettingError(hook, function_name(function), wanted)
    return function


def _takes(function: Callable[..., Any], *arguments: object) -> bool:
    """Whether a function may be called so."""
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
