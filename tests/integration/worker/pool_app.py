"""An application with handlers in processes; they, and it, are found by import."""

import ctypes
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jetq.app.application import App
from jetq.errors import HandlerFailedError, Retry, Snooze, SoftTimeout, Terminate
from jetq.execution.context import Context, current
from jetq.execution.middleware import CallNext
from jetq.model.retry import Fixed
from jetq.settings import Queue

Json = None | bool | int | str | list[Any] | dict[str, Any]

app = App("pool", queues=[Queue("DEFAULT", lease=1.0)], retry=Fixed(0.1))
app.hooks.process_start.append(lambda: {"started": os.getpid()})


class UnpicklableError(Exception):
    """Nobody could send it elsewhere."""

    def __init__(self, first: int, *, second: object) -> None:
        super().__init__(f"{first} and {second}")
        self.lock = second


class HopelessError(UnpicklableError):
    """Not worth another try."""


@app.task("echo", pool="process")
def echo(value: Json = None) -> Json:
    return value


async def mending(ctx: Context, call_next: CallNext) -> Any:
    """See what middleware can see of a handler elsewhere."""
    try:
        return {"seen": await call_next(ctx), "arguments": ctx.arguments[1]}
    except HandlerFailedError as error:
        return {"error": error.error_type, "message": error.error_message, "notes": len(error.__notes__)}
    except Retry as signal:
        return {"signal": signal.reason}


@app.task("around", pool="process", middleware=[mending])
def around(value: Json) -> Json:
    if value == "raise":
        raise HopelessError(1, second=2)
    if value == "retry":
        raise Retry(reason="once more")
    return value


async def watching(ctx: Context, call_next: CallNext) -> Any:
    """Leave everything as it is."""
    return await call_next(ctx)


@app.task("watched", pool="process", middleware=[watching], give_up_on=HopelessError)
def watched() -> None:
    raise HopelessError(1, second=2)


@app.task("where", pool="process")
def where(ctx: Context) -> dict[str, Any]:
    here = current()
    return {
        "pid": os.getpid(),
        "worker": ctx.worker,
        "task": here.task_id,
        "state": ctx.state,
        "attempt": ctx.attempt,
        "left": ctx.time_left,
        "session": os.getsid(0),
    }


@app.task("odd", pool="process", max_tries=1)
def odd() -> Any:
    return {"lock": object()}


@app.task("fail", pool="process", max_tries=1)
def fail() -> None:
    raise UnpicklableError(1, second=object())


@app.task("hopeless", pool="process", give_up_on=HopelessError, max_tries=5)
def hopeless() -> None:
    raise HopelessError(1, second=object())


@app.task("signal", pool="process", max_tries=3)
def signal_back(ctx: Context, kind: str) -> str:
    if ctx.attempt > 1:
        return f"{kind} again"
    if kind == "retry":
        raise Retry(0.05, "once more")
    if kind == "snooze":
        return Snooze(0.05)  # type: ignore[return-value]
    if kind == "terminate":
        raise Terminate("enough")
    raise Terminate("no such kind")


@app.task("die", pool="process", max_tries=10)
def die(ctx: Context, how: str, times: int = 1) -> int:
    if ctx.attempt > times:
        return ctx.attempt
    if how == "exit":
        os._exit(7)
    if how == "sys.exit":
        sys.exit(5)
    if how == "segv":
        ctypes.string_at(0)
    os.kill(os.getpid(), getattr(signal, how))
    time.sleep(60)
    return 0


@app.task("eat", pool="process", max_tries=1)
def eat(megabytes: int) -> int:
    block = b"x" * (megabytes * 2**20)
    os.kill(os.getpid(), signal.SIGKILL)
    return len(block)


@app.task("eat-within", pool="process")
def eat_within(ctx: Context, group: str, megabytes: int) -> str:
    """Join a control group, and hold more than it may."""
    if ctx.attempt > 1:
        return "ran again"
    (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    return str(len(b"x" * (megabytes * 2**20)))


@app.task("hold", pool="process", max_tries=1)
def hold(started: str, seconds: float = 60.0, *, forever: bool = False) -> str:
    """Note that it runs, then sleep; with *forever*, whatever anybody says."""
    Path(started).write_text(str(os.getpid()))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(until - time.monotonic())
        except BaseException:
            Path(started + ".told").write_text(repr(sys.exc_info()[0]))
            if not forever:
                raise
    return "slept"


@app.task("soft", pool="process", timeout=30, soft_timeout=0.2, max_tries=1)
def soft(ctx: Context) -> str:
    try:
        time.sleep(20)
    except SoftTimeout:
        return f"soft {ctx.soft_timed_out}"
    return "never asked"


@app.task("softer", pool="process", timeout=30, soft_timeout=0.2, max_tries=1)
def softer() -> None:
    time.sleep(20)


@app.task("tell", pool="process", timeout=30)
def tell(ctx: Context, values: int) -> float:
    for value in range(values):
        ctx.progress(value + 1, values, "telling")
    return time.monotonic()


@app.task("longer", pool="process", timeout=0.6, max_tries=1)
def longer(ctx: Context) -> str:
    ctx.extend(10)
    time.sleep(1.2)
    return "extended"


@app.task("more", pool="process")
def more(ctx: Context) -> str:
    return ctx.enqueue("echo", {"value": "from a process"}, id=f"{ctx.task_id}-more").id


@app.task("total", pool="process")
def total(ctx: Context, title: str, numbers: list[int]) -> dict[str, Any]:
    return {"title": title, "numbers": numbers, "loaded": len(ctx.dependency_results), "pid": os.getpid()}


@app.task("length", pool="process")
def length(text: str) -> int:
    return len(text)


@app.task("divide", pool="process", max_tries=1, give_up_on=ZeroDivisionError)
def divide(ctx: Context, one: int, other: int) -> list[Any]:
    return [one // other, os.getpid(), ctx.arguments[1]["one"]]


@app.task("divide-watched", pool="process", middleware=[watching])
def divide_watched(one: int, other: int) -> int:
    return one // other


@app.task("offspring", pool="process")
def offspring(ctx: Context) -> list[str]:
    many = app.enqueue_many([echo.s(1), ("echo", None)])
    return [ctx.enqueue("echo").id, echo.enqueue(1).id, *(handle.id for handle in many)]


@app.task("log", pool="process")
def log(ctx: Context) -> None:
    ctx.logger.warning("by its context")
    logging.getLogger("shop").warning("by itself")


@app.task("child", pool="process", timeout=1.5, max_tries=1)
def child(noted: str) -> None:
    program = subprocess.Popen(["/bin/sleep", "60"])
    Path(noted).write_text(str(program.pid))
    program.wait()


@app.task("grow", pool="process")
def grow(megabytes: int) -> tuple[int, int]:
    kept.append(b"x" * (megabytes * 2**20))
    return os.getpid(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


kept: list[bytes] = []
