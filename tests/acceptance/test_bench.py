"""The benchmarks run, and compare like with like. How fast anything is stands in no test."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import bare, side, soak, work
from jetq import Worker
from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings, WorkerSettings
from jetq.wire.names import Names

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--json"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def test_limit_tells_both_sides_and_their_ratios():
    report = _run("limit", "--tasks", "200", "--repeat", "1", "--samples", "5")
    for half in ("enqueue", "drain"):
        figures = report[half]
        assert figures.keys() == {
            *("bare_per_second", "jetq_per_second", "ratio"),
            *("bare_cpu_us", "jetq_cpu_us", "cpu_ratio"),
        }
        assert all(figure["low"] <= figure["median"] <= figure["high"] for figure in figures.values())
        assert report[f"{half}_ratio"] == pytest.approx(figures["ratio"]["median"], abs=0.001)
    assert 0 < report["start_ms"]["p50"] <= report["start_ms"]["p99"]
    assert report["start_ms"]["p50"] < report["round_trip_ms"]["p50"]
    assert (report["tasks"], report["repeat"]) == (200, 1)


def test_flows_tells_what_a_hop_costs():
    report = _run("flows", "--chain", "5", "--fan", "5", "--nodes", "5", "--samples", "5", "--repeat", "1")
    for name in ("hop_ratio", "hop_ms", "round_trip_ms", "fan_per_second", "submit_per_second"):
        assert 0 < report[name]["low"] <= report[name]["median"] <= report[name]["high"]
    assert (report["chain"], report["fan"], report["nodes"], report["repeat"]) == (5, 5, 5, 1)


def test_pools_tells_what_a_call_costs_where_it_runs():
    report = _run("pools", "--calls", "5")
    assert report["start_ms"] > 0
    assert report["call_ms"].keys() == {"async", "thread", "process"}
    assert all(0 < told["p50"] <= told["p99"] for told in report["call_ms"].values())


def test_imports_tells_ratios_and_what_is_heavy():
    report = _run("imports", "--repeat", "1")
    assert report.keys() == {"import_ratio", "help_ratio", "whole_ms", "heavy", "repeat"}
    assert report["whole_ms"].keys() == {"pass", "import nats", "import jetq", "jetq --help"}
    assert report["heavy"]


def test_idle_watches_a_worker():
    report = _run("idle", "--seconds", "0.5")
    assert report["rss_mib"] > 1
    assert report["cpu_percent"] >= 0


def test_beat_watches_a_scheduler():
    report = _run("beat", "--schedules", "40", "--due", "20", "--seconds", "0.5")
    assert (report["schedules"], report["due"]) == (40, 20)
    assert report["start"] > 0
    assert 0 < report["late"]["p50"] <= report["late"]["p99"]


def test_soak_watches_a_supervisor_and_its_children():
    report = msgspec.convert(_run("soak", "--tasks", "300", "--generations", "1"), soak.Report)
    assert (report.tasks, report.lost, report.doubled) == (300, 0, 0)
    assert report.children >= soak.PROCESSES
    assert all(len(held.quarters) == 4 for held in (report.supervisor, report.child, report.server))


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_memory_stays_flat_over_a_hundred_thousand_tasks():
    report = msgspec.convert(_run("soak", "--tasks", "100000", "--generations", "2"), soak.Report)
    assert report.is_flat, report
    assert report.doubled == 0


async def test_the_bare_loop_writes_what_jetq_writes(server: EmbeddedServer, connection: Connection):
    theirs = await _watched(server, connection, side.BARE_NAMESPACE, _run_bare)
    ours = await _watched(server, connection, side.JETQ_NAMESPACE, _run_jetq)
    assert list(map(_shape, theirs)) == list(map(_shape, ours))
    assert len(json.dumps(theirs)) == pytest.approx(len(json.dumps(ours)), rel=0.01)


async def _watched(
    server: EmbeddedServer, connection: Connection, namespace: str, run: Callable[[str], Awaitable[None]]
) -> list[Any]:
    """Return the three records, the item and the three events of one task that *run* enqueues and works off."""
    await Topology(connection, Names(namespace), StoreSettings()).ensure([Queue(work.QUEUE)])
    seen: asyncio.Queue[bytes] = asyncio.Queue()
    for subject in (f"{namespace}.T.*", f"{namespace}.Q.>", f"{namespace}.E.>"):
        await connection.subscribe(subject, lambda message: seen.put_nowait(message.data))
    await connection.api("INFO")
    await run(server.url)
    messages = [json.loads(await seen.get()) for _ in range(7)]
    return sorted(messages, key=lambda message: json.dumps(_shape(message)))


async def _run_bare(url: str) -> None:
    loop, done = await bare.Loop.open(url, side.BARE_NAMESPACE), asyncio.Event()
    worker = bare.Worker(loop, work.handle, slots=1, on_complete=done.set)
    await bare.Producer(loop).enqueue_many([work.payload(1)])
    await worker.start()
    await done.wait()
    await loop.client.close()


async def _run_jetq(url: str) -> None:
    async with side.jetq_app(url) as app, Worker(app, settings=WorkerSettings(janitor=False)):
        await (await app.aenqueue(work.TASK_TYPE, work.payload(1))).aresult(timeout=10)


def _shape(value: Any) -> Any:
    """Return what a message holds, without what differs from task to task."""
    if isinstance(value, dict):
        return {key: _shape(value[key]) for key in sorted(value)}
    return type(value).__name__
