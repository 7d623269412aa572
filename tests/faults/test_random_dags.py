"""Workers killed and servers restarted amid many graphs of tasks: each of them ends, as it must."""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from random import Random

import pytest

from jetq.app.application import App
from jetq.app.dependency import Dependency
from jetq.errors import DuplicateTaskError, EnqueueTimeoutError, ServerError
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
        killed: The processes that died.
    """

    def __init__(self, crew: Crew, server: TestServer, chance: Random, *, every: float) -> None:
        self._crew = crew
        self._server = server
        self._chance = chance
        self._every = every
        self._enough = asyncio.Event()
        self.killed: set[int] = set()
        self.restarts = 0

    async def wreak(self) -> None:
        """Do harm."""
        alive = [await asyncio.to_thread(self._crew.hire) for _ in range(WORKERS)]
        while not self._enough.is_set():
            victim = alive.pop(self._chance.randrange(WORKERS))
            self.killed.add(victim.pid)
            victim.kill()
            if len(self.killed) % RESTART_AFTER == 1:
                await asyncio.to_thread(self._server.restart)
                self.restarts += 1
            alive.append(await asyncio.to_thread(self._crew.hire))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._every)

    def stop(self) -> None:
        """End it."""
        self._enough.set()


@pytest.mark.faults
@pytest.mark.timeout(150)
async def test_a_few_graphs_end_while_workers_die_and_the_server_restarts(
    crew: Crew, app: App, own_server: TestServer
) -> None:
    await live_through(crew, app, own_server, graphs=5, harm=4.0)


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_two_hundred_graphs_end_while_workers_die_and_the_server_restarts(
    crew: Crew, app: App, own_server: TestServer
) -> None:
    await live_through(crew, app, own_server, graphs=200, harm=45.0)


async def live_through(crew: Crew, app: App, server: TestServer, *, graphs: int, harm: float) -> None:
    seed = secrets.randbits(32)
    chance = Random(seed)  # noqa: S311 - no secret
    drawn = [draw(chance, f"g{number}") for number in range(graphs)]
    havoc = Havoc(crew, server, chance, every=2.0)
    wreaking = asyncio.create_task(havoc.wreak())
    try:
        async with asyncio.timeout(harm + 60):
            await enqueue_all(app, drawn, harm)
        havoc.stop()
        await wreaking
        backend = (await app.clients.current()).backend
        records = await all_final(backend, [node.id for graph in drawn for node in graph])
        runs = noted(crew)
        for graph in drawn:
            check(graph, records, runs, havoc.killed)
        await eventually(lambda: nothing_is_left(backend), within=_STUCK)
    except BaseException as error:
        error.add_note(f"seed {seed}, {len(havoc.killed)} killed, {havoc.restarts} restarts")
        raise
    finally:
        wreaking.cancel()
        await asyncio.gather(wreaking, return_exceptions=True)
        await app.aclose()


async def enqueue_all(app: App, graphs: Sequence[list[Node]], seconds: float) -> None:
    """Begin to enqueue a graph now and then, so that some are under way all the time."""

    async def enqueue_graph(place: int, graph: list[Node]) -> None:
        await asyncio.sleep(place * seconds / len(graphs))
        for node in graph:
            await enqueue(app, node, [Dependency(graph[p].id, on_failure=how) for p, how in node.parents.items()])

    await together([enqueue_graph(place, graph) for place, graph in enumerate(graphs)])


async def enqueue(app: App, node: Node, parents: list[Dependency]) -> None:
    """Enqueue a node, again and again if the server does not answer."""
    while True:
        try:
            await app.aenqueue(
                "work",
                {"seconds": node.seconds, "fail": node.fail},
                id=node.id,
                max_tries=node.max_tries,
                deadline=0.001 if node.late else None,
                depends_on=parents,
            )
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
