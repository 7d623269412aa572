"""
idle: what a worker costs that has nothing to do.

It is ``jetq worker`` on a server of its own, a process that ran one task. Linux tells the figures in ``/proc``.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import work
from bench.side import jetq_app
from jetq import EmbeddedServer

CPU_GOAL = 2.0
RSS_GOAL = 60.0
_SETTLE = 2.0


class Report(Struct):
    """
    What an idle worker uses.

    Attributes:
        cpu_percent: Of one core.
        rss_mib: Memory that is in use, in MiB.
        seconds: How long it was watched.
    """

    cpu_percent: float
    rss_mib: float
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to watch")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    """Measure and print."""
    report = measure(given.seconds)
    if given.json:
        print(msgspec.json.format(work.encode(report)).decode())
        return
    print(f"CPU {report.cpu_percent:.2f} % of a core over {report.seconds:g} s (goal: under {CPU_GOAL:g} %)")
    print(f"RSS {report.rss_mib:.1f} MiB (goal: under {RSS_GOAL:g} MiB)")


def measure(seconds: float) -> Report:
    """Watch an idle worker."""
    with EmbeddedServer.start() as server:
        command = [sys.executable, "-m", "jetq", "worker", "bench.idle:app", "--log-level", "warning"]
        process = subprocess.Popen(command, env=os.environ | {"BENCH_URL": server.url})  # noqa: S603 - jetq itself
        try:
            asyncio.run(_run_one(server.url))
            time.sleep(_SETTLE)
            began = cpu_seconds(process.pid)
            time.sleep(seconds)
            used = cpu_seconds(process.pid) - began
            return Report(cpu_percent=used / seconds * 100, rss_mib=rss_mib(process.pid), seconds=seconds)
        finally:
            process.terminate()
            process.wait()


async def _run_one(url: str) -> None:
    async with jetq_app(url) as client:
        handle = await client.aenqueue(work.TASK_TYPE, work.payload(1))
        await handle.aresult(timeout=30)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads, which is counted to the nanosecond here and in ticks elsewhere."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def rss_mib(pid: int) -> float:
    """Return the memory that a process holds, in MiB."""
    resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if url := os.environ.get("BENCH_URL"):
    app = jetq_app(url)
