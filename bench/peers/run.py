"""
peers: jetq beside other task queues, all in one run and by one method.

Each has a broker that is started for it with an empty store, a client in a process of its own, and one worker whose
tasks run in one process. The task is a no-op with some 110 bytes of arguments and a small result, and notes that
it began; all rates and latencies are computed from these notes. The order is another one in each repetition, with jetq
and the bare loop next to each other. A drain counts only if every task ran exactly once.

The others are installed on first use, each in an environment that suits it (``.bench-venvs``). What cannot be had is
skipped, and said.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import quantiles
from typing import Any, Final, NamedTuple

from bench import body
from bench.peers import environments, goals, services
from bench.peers.environments import ROOT, UnavailableError
from bench.peers.registry import OURS, Peer, chosen
from bench.peers.services import Service
from bench.peers.talking import PeerError, Talk, talk
from bench.processes import Crew, StalledError, crew
from bench.sheet import Sheet

QUICK: Final = {"repeat": 1, "scale": 0.05, "samples": 5, "idle": 0.2}
_SETTLE: Final = 0.5
_LEAST: Final = 50
_STORED: Final = 15.0
"""Seconds that results get to be stored after the last task began."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--only", type=_chosen, default="", metavar="NAMES", help="beginnings of names, separated by ';'"
    )
    parser.add_argument("--repeat", type=int, default=3, help="repetitions")
    parser.add_argument("--minutes", type=float, default=10.0, help="begin no repetition that would end after so many")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of tasks")
    parser.add_argument("--samples", type=int, default=100, help="single tasks for each latency")
    parser.add_argument("--idle", type=float, default=1.0, help="seconds to watch an idle worker")
    parser.add_argument("--keep-logs", metavar="FOLDER", help="keep what clients and workers print")


def _chosen(only: str) -> list[Peer]:
    try:
        return chosen(only)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


class Ready:
    """A peer that can be measured: what it is, and where."""

    def __init__(self, peer: Peer, python: str, about: dict[str, Any]) -> None:
        self.peer = peer
        self.python = python
        self.about = about

    @property
    def note(self) -> str:
        """Its configuration, for people."""
        versions = ", ".join(f"{name} {version}" for name, version in self.about["versions"].items())
        return f"{self.peer.name} ({versions or 'no versions'}): {self.about['configuration']}"


def measure(given: argparse.Namespace) -> Sheet:
    """Measure all, and compare."""
    conditions = (
        f"{given.repeat} repetitions, one worker of one process, no-op with 110 bytes of arguments;"
        f" {given.samples} tasks for latencies"
    )
    columns = [*goals.THROUGHPUT, *goals.WAITING]
    sheet = Sheet(bench="peers", about="task queue", conditions=conditions, columns=columns)
    sheet.groups = [goals.THROUGHPUT, goals.WAITING]
    with ExitStack() as stack:
        logs = Path(given.keep_logs or stack.enter_context(tempfile.TemporaryDirectory(prefix="jetq-bench-")))
        logs.mkdir(exist_ok=True)
        ready = list(_ready(given.only, sheet, logs))
        for name in dict.fromkeys(each.peer.service for each in ready):
            sheet.notes.append(services.DURABILITY[name])
        sheet.notes += [each.note for each in ready]
        for each in ready:
            sheet.put(each.peer.name, {})
        _repeat(sheet, ready, given, logs)
    sheet.goals = goals.goals(sheet, [each.peer.name for each in ready if each.about["stores_results"] is True])
    return sheet


def _repeat(sheet: Sheet, ready: list[Ready], given: argparse.Namespace, logs: Path) -> None:
    """Do all repetitions that there is time for."""
    began = time.monotonic()
    for number in range(given.repeat):
        spent = time.monotonic() - began
        if number and spent / number * (number + 1) > given.minutes * 60:
            sheet.notes.append(f"only {number} of {given.repeat} repetitions, to end within {given.minutes:g} minutes")
            break
        for each in _order(ready, number):
            turn = time.monotonic()
            try:
                _measure(sheet, each, given, logs / f"{each.peer.module}.log")
            except (PeerError, StalledError, UnavailableError) as error:
                sheet.notes.append(f"{each.peer.name}, repetition {number + 1}: {error}")
            _tell(sheet, each.peer.name, number, time.monotonic() - turn)


def _tell(sheet: Sheet, name: str, number: int, seconds: float) -> None:
    rates = sheet.values(name, goals.DRAIN)
    rate = f"{rates[-1]:,.0f} tasks/s" if rates else "no drain"
    print(f"[{number + 1}] {name}: {rate}, {seconds:.1f} s", file=sys.stderr, flush=True)


def _ready(peers: Iterable[Peer], sheet: Sheet, logs: Path) -> Iterable[Ready]:
    """Install what is not there; say what cannot be had."""
    for peer in peers:
        try:
            with services.service(peer.service) as broker:
                python = environments.python(peer.environment)
                with talk(peer, python, broker.environ, logs / f"{peer.module}.log") as client:
                    yield Ready(peer, python, client.ask("describe"))
        except (UnavailableError, PeerError) as error:
            sheet.notes.append(f"{peer.name} is left out: {error}")


def _order(ready: list[Ready], number: int) -> list[Ready]:
    """Return them in some order, with ours next to each other, and the first of ours in turns."""
    ours = [each for each in ready if each.peer.name in OURS]
    others = [each for each in ready if each.peer.name not in OURS]
    random.shuffle(others)
    place = random.randint(0, len(others))  # noqa: S311 - no secret
    return others[:place] + (ours if number % 2 else ours[::-1]) + others[place:]


class Turn(NamedTuple):
    """One repetition of one peer: its client, its broker, and how its workers are started."""

    client: Talk
    broker: Service
    about: dict[str, Any]
    environ: dict[str, str]
    log: Path

    def worker(self) -> AbstractContextManager[Crew]:
        """Start one."""
        return crew(self.about["commands"], self.environ, self.log)

    def rate(self, mode: str, count: int) -> float:
        """Enqueue into an empty queue; return how many a second."""
        self.client.ask("reset")
        return count / self.client.ask("enqueue", mode=mode, count=count, first=0)["seconds"]


def _measure(sheet: Sheet, ready: Ready, given: argparse.Namespace, log: Path) -> None:
    """Do one repetition of one peer; what was measured before something failed is kept."""
    name = ready.peer.name
    with services.service(ready.peer.service) as broker, talk(ready.peer, ready.python, broker.environ, log) as client:
        environ = {**broker.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        about = client.ask("describe")
        turn = Turn(client, broker, about, environ, log)
        client.ask("reset")
        sheet.put(name, _idle(turn, given))
        singles = max(int(about["singles"] * given.scale), _LEAST)
        sheet.put(name, {goals.SINGLE: turn.rate("single", singles)})
        if about["has_blocking"]:
            sheet.put(name, {goals.BLOCKING: turn.rate("blocking", singles)})
        elif not about["is_async"]:
            sheet.put(name, {goals.BLOCKING: sheet.values(name, goals.SINGLE)[-1]})
        tasks = max(int(about["tasks"] * given.scale), _LEAST)
        for mode, column in _ways(about):
            rate = turn.rate(mode, tasks)
            if column is not None:
                sheet.put(name, {column: rate})
        sheet.put(name, _drain(turn, tasks))


def _ways(about: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Return the ways to fill the queue, the best one last."""
    ways: list[tuple[str, str | None]] = []
    if about["is_async"]:
        ways.append(("abreast", goals.ABREAST))
    if about["has_bulk"]:
        ways.append(("bulk", goals.BULK))
    return ways or [("single", None)]


def _idle(turn: Turn, given: argparse.Namespace) -> dict[str, float]:
    """Measure a worker that has nothing to do, and one task after the other."""
    with turn.worker() as worker:
        return _watched(turn, worker, given)


def _watched(turn: Turn, worker: Crew, given: argparse.Namespace) -> dict[str, float]:
    client = turn.client
    client.ask("enqueue", mode="single", count=1, first=-1)
    worker.await_count(1)
    time.sleep(_SETTLE)
    began = worker.cpu_seconds()
    time.sleep(given.idle)
    told = {goals.IDLE_CPU: (worker.cpu_seconds() - began) / given.idle * 100, goals.RSS: worker.rss_mib()}
    before = body.count(worker.notes)
    client.ask("starts", samples=given.samples, notes=str(worker.notes))
    cuts = quantiles(
        [(note.began - note.sent) / 1e6 for note in body.read(worker.notes)[before:]], n=100, method="inclusive"
    )
    told |= {goals.START: cuts[49], goals.START_P99: cuts[98]}
    if turn.about["waits"]:
        times = client.ask("round_trips", samples=max(given.samples // 2, 2))["milliseconds"]
        told[goals.ROUND_TRIP] = quantiles(times, n=2)[0]
    return told


def _drain(turn: Turn, tasks: int) -> dict[str, float]:
    """
    Start a worker on a full queue.

    Raises:
        PeerError: A task did not run, or ran twice, or its result is not there.
    """
    client, broker, stores = turn.client, turn.broker, turn.about["stores_results"]
    with turn.worker() as worker:
        worker.await_count(tasks // 20 + 1)
        (counted, spent), served = worker.so_far(), broker.cpu_seconds()
        worker.await_count(tasks)
        time.sleep(_SETTLE)
        spent, served = worker.cpu_seconds() - spent, broker.cpu_seconds() - served
        limit = time.monotonic() + _STORED
        while stores and 0 <= (stored := client.ask("count_results")["count"]) < tasks:
            if time.monotonic() > limit:
                raise PeerError(f"{stored} of {tasks} results are stored")
        notes = body.read(worker.notes)
    if sorted(note.task for note in notes) != list(range(tasks)):
        raise PeerError(f"of {tasks} tasks {len({note.task for note in notes})} ran, in {len(notes)} runs")
    began = sorted(note.began for note in notes)
    left = max(tasks - counted, 1)
    return {
        goals.DRAIN: (tasks - 1) / ((began[-1] - began[0]) / 1e9),
        goals.CPU: spent / left * 1e6,
        goals.SERVER_CPU: served / left * 1e6,
    }
