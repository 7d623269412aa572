"""
Whatever two clients, a worker and their deaths do to a few tasks, each comes to its end.

Examples are drawn: what clients do, when workers come, go and die. Then the dying stops and a worker serves; if a
producer died, the janitor passes as well. Every task must end, with nothing left of it in queues, schedules and keys.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from jetq.admin.janitor import Janitor
from jetq.admin.task_operations import TaskOperations
from jetq.app.application import App
from jetq.client.clients import Client
from jetq.errors import JetqError, Retry, Snooze, Terminate
from jetq.execution.context import Context
from jetq.jetstream.lookup import find_stream
from jetq.jetstream.server import EmbeddedServer
from jetq.model.retry import Fixed
from jetq.observe.fault_points import Point, arm
from jetq.settings import JanitorSettings, Queue, WorkerSettings
from jetq.wire.ids import new_id
from jetq.worker import claims, ownership
from jetq.worker.worker import Worker
from tests.integration.watching import eventually

LEASE: Final = 1.0
IDS: Final = ("one", "two", "three")
WAYS: Final = ("ok", "fail once", "fail", "terminate", "snooze once", "retry", "linger")
OPERATIONS: Final = ("cancel", "retry", "run now", "delete", "force", "change")
LINGER: Final = 0.6
REST: Final = 45.0
"""Seconds; an item whose record was deleted while it was under way is removed once it is 30 s old."""


class ProducerDied(BaseException):
    """Stops a producer between two of its steps."""


@dataclass(frozen=True)
class Enqueue:
    """A client enqueues a task, and may die after its record."""

    task: str
    way: str
    delay: float | None
    deadline: float | None
    unique: bool
    dies: bool


@dataclass(frozen=True)
class Operate:
    """A client does something to a task, whatever has become of it."""

    task: str
    operation: str


@dataclass(frozen=True)
class Work:
    """A worker serves for a moment; then it is told to stop, or dies."""

    moment: float
    dies: bool


Step = Enqueue | Operate | Work

enqueues = st.builds(
    Enqueue,
    st.sampled_from(IDS),
    st.sampled_from(WAYS),
    st.sampled_from([None, None, 0.1, 0.4]),
    st.sampled_from([None, None, None, 0.5]),
    st.booleans(),
    st.just(value=False) | st.sampled_from([False, False, True]),
)
operates = st.builds(Operate, st.sampled_from(IDS), st.sampled_from(OPERATIONS))
works = st.builds(Work, st.sampled_from([0.0, 0.05, 0.2, 0.5]), st.booleans())
turns = st.lists(st.lists(enqueues | operates | works, min_size=1, max_size=3), min_size=1, max_size=6)
"""Steps in their order; those of one turn are taken at the same time."""


@dataclass
class World:
    """A namespace with two clients, and its workers."""

    apps: list[App]

    @classmethod
    def make(cls, server: EmbeddedServer) -> "World":
        namespace = f"L{new_id()}"
        return cls([make_app(server, namespace) for _ in range(2)])

    async def take(self, step: Step, app: App) -> None:
        match step:
            case Enqueue():
                await self._enqueue(step, app)
            case Operate():
                with contextlib.suppress(JetqError):
                    await operate(step, await app.clients.current())
            case Work():
                await self._work(step)

    async def _enqueue(self, step: Enqueue, app: App) -> None:
        armed = dying() if step.dies else contextlib.nullcontext()
        with contextlib.suppress(JetqError, ProducerDied), armed:
            await app.aenqueue(
                "live",
                {"way": step.way},
                id=step.task,
                delay=step.delay,
                deadline=None if step.deadline is None else step.deadline + (step.delay or 0),
                unique="key" if step.unique else None,
                max_tries=3,
            )

    async def _work(self, step: Work) -> None:
        worker = make_worker(self.apps[0])
        await worker.__aenter__()
        await asyncio.sleep(step.moment)  # the moment is the example's
        await (die(worker) if step.dies else worker.__aexit__())

    async def come_to_rest(self, *, mends: bool) -> None:
        """Serve, and mend if that is needed, until every task has ended."""
        client = await self.apps[0].clients.current()
        janitor = Janitor(client.backend, JanitorSettings(patience=0.0))

        async def rests() -> bool:
            if mends:
                await janitor.run_pass(tell=lambda _repair: None)
            return await is_at_rest(client)

        async with make_worker(self.apps[0]):
            await eventually(rests, within=REST)

    async def close(self) -> None:
        for app in self.apps:
            await app.aclose()


def make_app(server: EmbeddedServer, namespace: str) -> App:
    app = App("lives", namespace=namespace, queues=[Queue("DEFAULT", lease=LEASE)])
    app.connect_to(server.address)

    @app.task("live", retry=Fixed(0.1))
    async def live(ctx: Context, way: str) -> str:
        match way:
            case "fail" | "fail once" if way == "fail" or ctx.attempt == 1:
                raise ValueError("as asked")
            case "terminate":
                raise Terminate("as asked")
            case "snooze once" if ctx.attempt == 1:
                raise Snooze(0.1)
            case "retry" if ctx.tries == 1:
                raise Retry(delay=0.1)
            case "linger":
                await asyncio.sleep(LINGER)
        return way

    return app


def make_worker(app: App) -> Worker:
    return Worker(app, settings=WorkerSettings(concurrency=5, shutdown_timeout=0.1, janitor=False))


async def die(worker: Worker) -> None:
    """Let a worker vanish: nothing is given back, and its presence stays until it is over."""

    async def say_nothing(_presences: object) -> None: ...

    worker._keeper._farewell = say_nothing
    await worker._backend.connection.close()
    for task in tuple(worker._tasks):
        task.cancel()
    await worker._parts.aclose()
    worker._closed = True


@contextlib.contextmanager
def dying() -> Iterator[None]:
    """Let a producer die after its record; one of its own turn that enqueues meanwhile may die in its place."""

    def stop() -> None:
        raise ProducerDied

    disarm = arm(Point.RECORD_STORED, stop)
    try:
        yield
    finally:
        disarm()


async def operate(step: Operate, client: Client) -> None:
    operations = TaskOperations(client.backend)
    match step.operation:
        case "cancel":
            await operations.cancel(step.task, by="the test")
        case "retry":
            await operations.retry(step.task, deadline=None)
        case "run now":
            await operations.run_now(step.task)
        case "change":
            await operations.change(step.task, payload=b'{"way":"ok"}')
        case _:
            await operations.delete(step.task, force=step.operation == "force")


async def is_at_rest(client: Client) -> bool:
    """Whether every task has ended, and nothing is left of it in queues, schedules and keys."""
    names, connection = client.backend.names, client.backend.connection
    found = [await client.backend.tasks.read(task_id) for task_id in IDS]
    if not all(stored is None or stored.record.is_final for stored in found):
        return False
    places = (names.queue("DEFAULT"), names.schedules, names.keys)
    streams = [await find_stream(connection, stream) for stream in places]
    return all(stream is None or not stream["state"]["messages"] for stream in streams)


@pytest.fixture(scope="module")
def quick_conclusions() -> Iterator[None]:
    """
    Let a worker trust what it sees soon.

    Nobody here comes back from a server's restart, and no record comes long after its item. An item without one is
    left by a delete that meets an enqueue, and would lie there for half a minute.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ownership, "SETTLE_DOWN", 0.1)
        patch.setattr(claims, "_OLD_ITEM", 1.0)
        yield


def live_through(server: EmbeddedServer, steps: list[list[Step]]) -> None:
    async def live() -> None:
        world = World.make(server)
        try:
            for turn in steps:
                together = [world.take(step, world.apps[place % 2]) for place, step in enumerate(turn)]
                async with asyncio.timeout(20):
                    await asyncio.gather(*together)
            producer_died = any(isinstance(step, Enqueue) and step.dies for turn in steps for step in turn)
            await world.come_to_rest(mends=producer_died)
        finally:
            await world.close()

    asyncio.run(live())


def examples(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Draw so many. A failure is told as it is: to look for a shorter one would take the time of its wait each."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    phases = [Phase.explicit, Phase.reuse, Phase.generate]
    return settings(max_examples=count, deadline=timedelta(seconds=60), suppress_health_check=quiet, phases=phases)


@pytest.mark.usefixtures("quick_conclusions")
@pytest.mark.timeout(180)
@examples(8)
@given(steps=turns)
def test_every_task_comes_to_its_end(server: EmbeddedServer, steps: list[list[Step]]) -> None:
    live_through(server, steps)


@pytest.mark.usefixtures("quick_conclusions")
@pytest.mark.nightly
@pytest.mark.timeout(1800)
@examples(300)
@given(steps=turns)
def test_every_task_of_many_comes_to_its_end(server: EmbeddedServer, steps: list[list[Step]]) -> None:
    live_through(server, steps)
