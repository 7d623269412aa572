"""Workers killed and servers restarted amid many graphs of tasks: each of them ends, as it must."""

import asyncio
import contextlib
import secrets
import subprocess
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.app.flow import Flow
from jetq.app.options import OptionValues
from jetq.errors import DuplicateTaskError, EnqueueTimeoutError, FlowSubmitTimeoutError, ServerError
from jetq.jetstream.backend import Backend
from jetq.jetstream.gathering import together
from jetq.model.record import TaskRecord
from tests.faults.conftest import Crew
from tests.faults.random_dags import Node, Runs, check, draw
from tests.integration.watching import eventually
from tests.servers import TestServer

WORKERS = 3
RESTART_AFTER = 6
"""Deaths from one restart of the server to the next: only 10 s after one it brings retries to their queue again."""
_AT_ONCE = 100
_STUCK = 60.0
"""Seconds after the last harm within which all must have ended: a lease, some retries, and the pass over markers."""


class Havoc:
    """
    Kills workers, and restarts the server, until it is told to stop.

    Attributes:
        ready: Its workers are.
        killed: The processes that died.
        restarts: Of the server.
    """

    def __init__(self, crew: Crew, server: TestServer, chance: Random, *, every: float) -> None:
        self._crew = crew
        self._server = server
        self._chance = chance
        self._every = every
        self._alive: list[subprocess.Popen[str]] = []
        self._enough = asyncio.Event()
        self.ready = asyncio.Event()
        self.killed: set[int] = set()
        self.restarts = 0

    async def wreak(self) -> None:
        """Do harm; a worker that takes its time to start does not delay the next death."""
        async with asyncio.TaskGroup() as hiring:
            await asyncio.gather(*(self._hire() for _ in range(WORKERS)))
            self.ready.set()
            while not self._enough.is_set():
                if len(self._alive) > 1:
                    victim = self._alive.pop(self._chance.randrange(len(self._alive)))
                    self.killed.add(victim.pid)
                    victim.kill()
                    if len(self.killed) % RESTART_AFTER == 1:
                        await asyncio.to_thread(self._server.restart)
                        self.restarts += 1
                    hiring.create_task(self._hire())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), self._every)

    async def _hire(self) -> None:
        self._alive.append(await asyncio.to_thread(self._crew.hire))

    def stop(self) -> None:
        """End it."""
        self._enough.set()


@pytest.mark.faults
@pytest.mark.timeout(150)
async def test_a_few_graphs_end_while_workers_die_and_the_server_restarts(
    crew: Crew, app: App, own_server: TestServer
) -> None:
    await live_through(crew, app, own_server, graphs=5, harm=4.0, longest=0.5)


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_two_hundred_graphs_end_while_workers_die_and_the_server_restarts(
    crew: Crew, app: App, own_server: TestServer
) -> None:
    await live_through(crew, app, own_server, graphs=200, harm=45.0, longest=0.1)


async def live_through(crew: Crew, app: App, server: TestServer, *, graphs: int, harm: float, longest: float) -> None:
    seed = secrets.randbits(32)
    chance = Random(seed)  # noqa: S311 - no secret
    drawn = [draw(chance, f"g{number}", longest) for number in range(graphs)]
    backend = (await app.clients.current()).backend
    havoc = Havoc(crew, server, chance, every=2.0)
    wreaking = asyncio.create_task(havoc.wreak())
    try:
        await havoc.ready.wait()
        async with asyncio.timeout(harm + 60):
            submitted = await submit_all(app, drawn, harm)
        havoc.stop()
        await wreaking
        records = await all_final(backend, [node.id for graph in submitted for node in graph])
        runs = noted(crew)
        assert len(havoc.killed) > harm / 10
        assert havoc.restarts
        for place, graph in enumerate(submitted):
            assert len({records[node.id].flow for node in graph}) <= 1
            assert all(bool(records[node.id].flow) is bool(place % 2) for node in graph)
            check(graph, records, runs, havoc.killed)
        if all(submitted):
            await eventually(lambda: nothing_is_left(backend), within=_STUCK)
    except BaseException as error:
        error.add_note(f"seed {seed}, {len(havoc.killed)} killed, {havoc.restarts} restarts")
        raise
    finally:
        wreaking.cancel()
        await asyncio.gather(wreaking, return_exceptions=True)
        await app.aclose()


async def submit_all(app: App, graphs: Sequence[list[Node]], seconds: float) -> list[list[Node]]:
    """
    Begin to submit a graph now and then, so that some are under way all the time; return them with their tasks' ids.

    Every other one is a flow. One that was not acknowledged runs as a whole or not at all, and is left out.
    """

    async def submit(place: int, graph: list[Node]) -> list[Node]:
        await asyncio.sleep(place * seconds / len(graphs))
        if place % 2:
            return await submit_flow(app, graph)
        for node in graph:
            await enqueue(app, node, [Dependency(graph[p].id, on_failure=how) for p, how in node.parents.items()])
        return graph

    return await together([submit(place, graph) for place, graph in enumerate(graphs)])


async def submit_flow(app: App, graph: list[Node]) -> list[Node]:
    with Flow("random") as flow:
        for node in graph:
            parents = [Dependency(graph[p].id, on_failure=how) for p, how in node.parents.items()]
            flow.add(app.s("work", payload(node), **options(node)), name=node.id, after={None: parents})
    try:
        handle = await flow.aenqueue()
    except FlowSubmitTimeoutError:
        return []
    return [replace(node, id=handle[node.id].id) for node in graph]


def payload(node: Node) -> dict[str, Any]:
    return {"seconds": node.seconds, "fail": node.fail}


def options(node: Node) -> OptionValues:
    return {"max_tries": node.max_tries, "deadline": 0.001 if node.late else None}


async def enqueue(app: App, node: Node, parents: list[Dependency]) -> None:
    """Enqueue a node, again and again if the server does not answer."""
    while True:
        try:
            await app.aenqueue("work", payload(node), **{**options(node), "id": node.id, "depends_on": parents})
        except DuplicateTaskError:
            return
        except (EnqueueTimeoutError, ServerError):
            continue
        return


async def all_final(backend: Backend, ids: Sequence[str]) -> dict[str, TaskRecord]:
    """Return all records as soon as all are final."""
    found: dict[str, TaskRecord] = {}
    left = list(ids)

    async def look() -> bool:
        for start in range(0, len(left), _AT_ONCE):
            read = await together([backend.tasks.read(task_id) for task_id in left[start : start + _AT_ONCE]])
            found.update((each.record.id, each.record) for each in read if each is not None and each.record.is_final)
        left[:] = [task_id for task_id in left if task_id not in found]
        return not left

    try:
        await eventually(look, within=_STUCK)
    except TimeoutError as error:
        stuck = [await backend.tasks.read(task_id) for task_id in left[:5]]
        error.add_note(f"{len(left)} have not ended, such as {stuck}")
        raise
    return found


def noted(crew: Crew) -> dict[str, Runs]:
    runs: dict[str, Runs] = {}
    for task_id, _, pid, time in crew.lines("start"):
        ran = runs.setdefault(task_id, Runs())
        ran.pids.append(int(pid))
        ran.starts.append(float(time))
    for task_id, _, _, time in crew.lines("end"):
        runs[task_id].ends.append(float(time))
    return runs


async def nothing_is_left(backend: Backend) -> bool:
    """Whether there is neither a marker nor an item nor a schedule."""
    names = backend.names
    streams = [
        await backend.connection.api(f"STREAM.INFO.{name}") for name in (names.queue("DEFAULT"), names.schedules)
    ]
    return not any(each["state"]["messages"] for each in streams) and not await backend.links.marked()
