"""
draining: how fast workers empty a queue that was filled before they began.

Rates are computed from the tasks' own notes: from the begin of the first task after a warm-up to that of the last.
Processor time is that of the workers with all that they started, and of the server, from the moment at which this
program saw the warm-up over until it saw all tasks begun and gave them a moment to end.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from bench import body, side, work, workload
from bench.processes import cpu_seconds, crew
from jetq.jetstream.server import EmbeddedServer

_SETTLE: Final = 0.3


class Drain(Struct):
    """
    One that was measured.

    Attributes:
        rate: Tasks a second.
        cpu_us: Processor time of the workers, microseconds a task.
        server_cpu_us: That of the server.
        rss_mib: What the workers held at the end.
        pids: Processes in which tasks ran.
    """

    rate: float
    cpu_us: float
    server_cpu_us: float
    rss_mib: float
    pids: int


def drain(
    commands: Sequence[Sequence[str]],
    environ: Mapping[str, str],
    tasks: int,
    *,
    servers: Sequence[int],
    warm: int,
    patience: float = 120.0,
) -> Drain:
    """
    Start workers on a queue of that many tasks, and measure all but those that warm up.

    Args:
        commands: The workers.
        environ: What they must be told.
        tasks: How many are in the queue at least.
        servers: Their processes.
        warm: Tasks that are not counted.
        patience: Seconds.

    Raises:
        StalledError: They did not run.
    """
    with crew(commands, environ) as running:
        running.await_count(max(warm, 1), patience)
        (counted, spent), served = running.so_far(), sum(map(cpu_seconds, servers))
        running.await_count(tasks, patience)
        time.sleep(_SETTLE)
        spent, served = running.cpu_seconds() - spent, sum(map(cpu_seconds, servers)) - served
        held = running.rss_mib()
        notes = body.read(running.notes)
    timed = _timed(sorted(note.began for note in notes), notes, warm)
    left = max(len(notes) - counted, 1)
    return Drain(
        rate=(len(timed) - 1) / max((timed[-1] - timed[0]) / 1e9, 1e-9),
        cpu_us=spent / left * 1e6,
        server_cpu_us=served / left * 1e6,
        rss_mib=held,
        pids=len({note.pid for note in notes}),
    )


def _timed(began: list[int], notes: list[body.Note], warm: int) -> list[int]:
    """Return the begins after the warm-up, and after every process had its first task if these are many."""
    first: dict[int, int] = {}
    for note in notes:
        first[note.pid] = min(note.began, first.get(note.pid, note.began))
    together = [moment for moment in began if moment >= max(first.values())]
    after = began[warm:]
    return together if len(after) // 2 < len(together) < len(after) else after


def drain_side(
    name: str,
    server: EmbeddedServer,
    tasks: int,
    *,
    workers: int = 1,
    slots: int = 500,
    loop: str = "asyncio",
    processes: int = 0,
) -> Drain:
    """Drain what one side has in its queue; *processes* has each of jetq's workers in a pool, for such handlers."""
    command = side.bare_worker(server.url, slots, loop)
    if name == "jetq":
        options = ("--pool-processes", str(processes)) if processes else ()
        command = workload.command(slots, *options, loop=loop)
    environ = workload.environ(server.url, has_pool=bool(processes))
    return drain([command] * workers, environ, tasks, servers=[server.pid], warm=min(work.WARM_UP, tasks // 4))


def make_streams(server: EmbeddedServer, *names: str) -> None:
    """Make the streams of sides."""
    for name in names:
        asyncio.run(side.make_streams(server.url, side.NAMESPACES[name]))
