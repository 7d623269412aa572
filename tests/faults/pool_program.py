"""An application whose handlers run in processes that tests kill; they note what they do in the file ``FAULTS_LOG``."""

import ctypes
import os
import subprocess
import time

from jetq.app.application import App
from jetq.execution.context import Context
from jetq.model.retry import Fixed
from jetq.settings import Queue

app = App("pool-faults", queues=[Queue("DEFAULT", lease=2.0)], retry=Fixed(0.2))


def note(word: str, ctx: Context, *more: object) -> None:
    stream = os.open(os.environ["FAULTS_LOG"], os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(stream, f"{' '.join(map(str, (word, ctx.task_id, ctx.attempt, os.getpid(), *more)))}\n".encode())
    os.close(stream)


@app.task("work", pool="process")
def work(ctx: Context, seconds: float) -> int:
    note("start", ctx)
    time.sleep(seconds)
    note("end", ctx)
    return ctx.attempt


@app.task("deaf", pool="process")
def deaf(ctx: Context) -> None:
    """Hold everything that Python could hear with, beside a program of its own."""
    program = subprocess.Popen(["/bin/sleep", "300"])
    note("start", ctx, program.pid)
    ctypes.PyDLL(None).sleep(300)
