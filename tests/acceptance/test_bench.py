"""The benchmarks run, and compare like with like. How fast anything is stands in no test."""

import asyncio
import json
import math
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import bare, body, compare, latency, limit, side, soak, work
from bench.peers import registry, services
from bench.sheet import Goal, Sheet, load
from jetq import Worker
from jetq.jetstream.connection import Connection
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.topology import Topology
from jetq.settings import Queue, StoreSettings, WorkerSettings
from jetq.wire.names import Names

ROOT = Path(__file__).parents[2]


def _run(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--json", "-"], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def _sheet(*arguments: str) -> Sheet:
    return msgspec.convert(_run(*arguments, "--quick"), Sheet)


@pytest.mark.nightly
def test_limit_tells_both_sides_and_their_ratios(tmp_path: Path):
    stored = tmp_path / "limit.json"
    subprocess.run([sys.executable, "-m", "bench", "limit", "--quick", "--json", stored], cwd=ROOT, check=True)
    sheet = load(stored)
    for label in (limit.ENQUEUE_RATE, limit.DRAIN_RATE):
        [bare_rate], [jetq_rate] = sheet.values(label, limit.BARE), sheet.values(label, limit.JETQ)
        assert sheet.values(label, limit.RATIO) == [pytest.approx(jetq_rate / bare_rate)]
    assert [goal.reached for goal in sheet.goals] == [
        sheet.values(limit.DRAIN_RATE, limit.RATIO),
        sheet.values(limit.ENQUEUE_RATE, limit.RATIO),
    ]


@pytest.mark.nightly
def test_latency_tells_of_starts_and_results_and_silence():
    sheet = _sheet("latency")
    assert 0 < sheet.values(latency.START, latency.P50)[0] <= sheet.values(latency.START, latency.WORST)[0]
    assert {"start, bare loop", "start after 0.2 s of silence, first", "start after 0.2 s of silence, second"} < {
        row.label for row in sheet.rows
    }


@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        *("enqueue", "drain", "delayed", "flows", "idle", "memory", "pools", "beat"),
        *("many-queues", "growth", "listing"),
    ],
)
def test_every_benchmark_fills_its_table(name: str):
    sheet = _sheet(name)
    assert sheet.rows
    for row in sheet.rows:
        assert row.values.keys() <= set(sheet.columns)
        assert all(math.isfinite(value) and value >= 0 for values in row.values.values() for value in values)


@pytest.mark.nightly
@pytest.mark.timeout(180)
def test_peers_are_compared_and_goals_told(tmp_path: Path):
    stored = tmp_path / "peers.json"
    arguments = ["peers", "--quick", "--only", "bare;jetq", "--json", stored]
    subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, check=True)
    sheet = load(stored)
    assert [row.label for row in sheet.rows] == ["bare loop", "jetq", "jetq, uvloop"]
    assert all(len(sheet.values(row.label, "drain, tasks/s")) == 1 for row in sheet.rows)
    reached = {goal.measure: goal.reached for goal in sheet.goals}
    assert len(reached["worker drain ÷ bare loop"]) == len(reached["enqueue_many ÷ bare loop"]) == 1
    assert reached["drain ÷ Celery's best pool"] == []


def test_each_peer_has_an_adapter_and_an_environment():
    folder = ROOT / "bench" / "peers"
    for peer in registry.PEERS:
        assert f"class {peer.adapter}(" in (folder / f"{peer.module}.py").read_text()
        assert not peer.environment or (folder / f"requirements-{peer.environment}.txt").is_file()
        assert peer.service in services.DURABILITY
    adapters = {path.stem for path in folder.glob("*_peer.py")} - {"taskiq_peer"}
    assert adapters == {peer.module for peer in registry.PEERS}
    assert [peer.name for peer in registry.chosen("jetq;celery, p")] == ["jetq", "jetq, uvloop", "celery, prefork"]
    with pytest.raises(ValueError, match="no peer is called 'celeri'"):
        registry.chosen("celeri")


def test_the_page_tells_what_was_measured_and_where_jetq_is_slower(tmp_path: Path):
    sheet = Sheet(bench="peers", about="task queue", conditions="once", columns=["drain, tasks/s", "start p50, ms"])
    for name, drain, start in (("jetq", 5000.0, 1.2), ("huey", 2000.0, 0.5), ("bare loop", 9000.0, 0.9)):
        sheet.put(name, {"drain, tasks/s": drain, "start p50, ms": start})
    (tmp_path / "peers.json").write_bytes(msgspec.json.encode(sheet))
    (tmp_path / "soak.json").write_text('{"tasks": 1}')
    page = "A\n<!-- bench peers table -->\nold\n<!-- end -->\nB\n<!-- bench peers slower -->\n<!-- end -->\n"
    kept = "<!-- bench limit table -->\nkept\n<!-- end -->\n"
    sheets = compare.read(tmp_path)
    filled = compare.filled(page + kept, sheets)
    assert filled == (
        "A\n<!-- bench peers table -->\n\n"
        "| task queue | drain, tasks/s | start p50, ms |\n| --- | --- | --- |\n"
        "| jetq | 5,000 | 1.20 |\n| huey | 2,000 | 0.50 |\n| bare loop | 9,000 | 0.90 |\n\n<!-- end -->\nB\n"
        "<!-- bench peers slower -->\n\n"
        "- **start p50, ms**: jetq 1.20, and better: huey 0.50\n\n<!-- end -->\n" + kept
    )
    assert compare.filled(filled, sheets) == filled


def test_the_page_tells_what_is_stored():
    page = compare.PAGE.read_text()
    assert compare.filled(page, compare.read(compare.RESULTS)) == page, "python -m bench compare"


def test_a_sheet_tells_medians_spread_and_goals():
    sheet = Sheet(bench="x", about="what", conditions="three times", columns=["ms", "ratio"])
    for value in (12.0, 10.0, 11.0):
        sheet.put("one", {"ms": value})
    sheet.goals = [
        Goal("speed", 1.0, at_least=True, reached=[0.5, 1.5, 1.25]),
        Goal("memory", 1.0, at_least=False, reached=[1.5]),
        Goal("absent", 1.0, at_least=False, reached=[]),
    ]
    assert sheet.tables() == [[("what", "ms", "ratio"), ("one", "11.0 (10.0-12.0)", "-")]]
    assert [goal.cells()[1:] for goal in sheet.goals] == [
        ("≥ 1", "1.25 (0.50-1.50)", "yes"),
        ("≤ 1", "1.50", "no"),
        ("≤ 1", "not measured", "-"),
    ]
    assert msgspec.json.decode(msgspec.json.encode(sheet), type=Sheet) == sheet


def test_pools_tells_what_a_call_costs_where_it_runs():
    sheet = _sheet("pools")
    assert {row.label for row in sheet.rows} == {"start of a process", "async", "thread", "process"}


@pytest.mark.nightly
def test_imports_tells_ratios_and_what_is_heavy():
    report = _run("imports", "--repeat", "1")
    assert report.keys() == {"import_ratio", "help_ratio", "whole_ms", "heavy", "repeat"}
    assert report["whole_ms"].keys() == {"pass", "import nats", "import jetq", "jetq --help"}
    assert report["heavy"]


@pytest.mark.nightly
def test_soak_watches_a_supervisor_and_its_children():
    report = msgspec.convert(_run("soak", "--quick"), soak.Report)
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
    await bare.Producer(loop).enqueue_many([body.payload(1)])
    await worker.start()
    await done.wait()
    await loop.client.close()


async def _run_jetq(url: str) -> None:
    async with side.jetq_app(url) as app, Worker(app, settings=WorkerSettings(janitor=False)):
        await (await app.aenqueue(work.TASK_TYPE, body.payload(1))).aresult(timeout=10)


def _shape(value: Any) -> Any:
    """Return what a message holds, without what differs from task to task."""
    if isinstance(value, dict):
        return {key: _shape(value[key]) for key in sorted(value)}
    return type(value).__name__
