"""
idle: what a worker costs that has nothing to do (Linux).

Workers on a server of their own have run one task before they are watched; the server is watched with them.
"""

import argparse
import asyncio
import time
from typing import Final

from bench import body, processes, work, workload
from bench.sheet import Goal, Sheet
from jetq import EmbeddedServer

QUICK: Final = {"seconds": 0.5}
CPU_GOAL: Final = 2.0
RSS_GOAL: Final = 60.0
CPU, RSS, COUNT, SERVER = "CPU, % of a core", "RSS, MiB", "processes", "its server's CPU, %"
ONE: Final = "one worker"
_PROGRAMS: Final = {ONE: (), "a supervisor and two children": ("-p", "2")}
_SETTLE: Final = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to watch each")


def measure(given: argparse.Namespace) -> Sheet:
    """Watch idle workers."""
    conditions = f"watched for {given.seconds:g} s, 50 slots"
    sheet = Sheet(bench="idle", about="idle", conditions=conditions, columns=[CPU, RSS, COUNT, SERVER])
    for label, options in _PROGRAMS.items():
        with EmbeddedServer.start() as server:
            command = workload.command(50, *options)
            with processes.crew([command], workload.environ(server.url)) as running:
                asyncio.run(_run_one(server.url))
                time.sleep(_SETTLE)
                began, served = running.cpu_seconds(), processes.cpu_seconds(server.pid)
                time.sleep(given.seconds)
                used, served = running.cpu_seconds() - began, processes.cpu_seconds(server.pid) - served
                told = {CPU: used / given.seconds * 100, RSS: running.rss_mib(), COUNT: float(len(running.pids))}
                sheet.put(label, {**told, SERVER: served / given.seconds * 100})
    for column, bound in ((CPU, CPU_GOAL), (RSS, RSS_GOAL)):
        goal = Goal(f"{ONE}: {column}", bound, at_least=False, reached=sheet.values(ONE, column))
        sheet.goals.append(goal)
    return sheet


async def _run_one(url: str) -> None:
    async with workload.make_app(url) as client:
        handle = await client.aenqueue(work.TASK_TYPE, body.payload(1))
        await handle.aresult(timeout=30)
