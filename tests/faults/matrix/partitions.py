"""Scenarios in which the network between somebody and the server swallows what it is given, and tells nobody."""

import asyncio
from collections import Counter

from jetq.app.application import App
from jetq.wire.ids import new_id
from tests.faults.matrix.load import SLOW
from tests.faults.matrix.scene import Scenario, Scene
from tests.faults.matrix.strait import Strait
from tests.faults.program import LEASE
from tests.faults.service import Service
from tests.integration.watching import eventually
from tests.servers import TestServer

URL = "JETQ_NATS_URL"
FOUND_OUT = 45.0
"""Seconds in which a dead connection is found out: 30 for pings, 25 for questions, and some for a busy machine."""
CONNECTIONS = {"worker", "lease"}
"""Of a worker process."""
FAILED = "no connection"
"""How the reason begins if none came about; a connection that ended has another one."""
TIMED_OUT = "EnqueueTimeoutError"


class Apart:
    """A service that reaches the server through a strait, beside one that reaches it directly."""

    def __init__(self, scene: Scene, strait: Strait, service: Service) -> None:
        self.scene = scene
        self.strait = strait
        self.service = service
        self.pids = {str(pid) for pid in service.children()}

    async def runs_slow_ones(self, app: App) -> set[str]:
        """Give it and the other service tasks that outlast the lease; return those that it runs."""
        for _ in range(8):
            task = new_id()
            self.scene.ledger.note("offered", task)
            await app.aenqueue(SLOW, id=task)
            self.scene.ledger.note("acknowledged", task, 0.0)

        async def some() -> bool:
            return bool(self.started())

        await eventually(some)
        return self.started()

    def started(self) -> set[str]:
        """Return the slow tasks that it runs."""
        entries = self.scene.ledger.entries()
        ended = {entry.fields[0] for entry in entries if entry.word == "end"}
        return {
            entry.fields[0]
            for entry in entries
            if entry.word == "slow" and entry.fields[2] in self.pids and entry.fields[0] not in ended
        }

    async def gave_up(self, tasks: set[str]) -> None:
        """Wait until its handlers of these tasks were cancelled."""

        async def all_cut() -> bool:
            cut = {entry.fields[0] for entry in self.scene.ledger.entries() if entry.word == "cut"}
            return tasks <= cut

        await eventually(all_cut)

    def lost(self) -> Counter[str]:
        """Count its dead connections that have no successor, by what they are for."""
        ends = [line for line in self.service.events("connection lost") if not line["reason"].startswith(FAILED)]
        counts = Counter(line["connection"] for line in ends)
        counts.subtract(line["connection"] for line in self.service.events("connection restored"))
        return counts

    async def is_connected(self) -> None:
        """Wait until none of its connections is known to be dead."""

        async def none_lost() -> bool:
            return not any(self.lost().values())

        await eventually(none_lost)

    async def finds_out(self) -> None:
        """Wait until each of its processes knows that both of its connections are dead."""

        async def all_lost() -> bool:
            lost = self.lost()
            return all(lost[connection] == len(self.pids) for connection in CONNECTIONS)

        await eventually(all_lost, within=FOUND_OUT)


def through(server: TestServer, strait: Strait) -> str:
    """Return the URL of a server on the other side of a strait."""
    return f"nats://{server.user_part}@127.0.0.1:{strait.port}"


async def apart(scene: Scene) -> Apart:
    """Return a service behind a strait; another one, and the producer, are not behind it."""
    server = scene.serve()
    strait = scene.keep(Strait(server.port))
    _, service = await asyncio.gather(scene.hire(), scene.hire(more={URL: through(server, strait)}))
    scene.produce()
    await scene.goes_on()
    return Apart(scene, strait, service)


async def worker_cut_off(scene: Scene) -> None:
    """Cut a service off for longer than its lease; then let it through, or reset its connections."""
    far = await apart(scene)
    async with scene.app() as app:
        for forgotten in (False, True)[: int(scene.span(1, 2))]:
            slow = await far.runs_slow_ones(app)
            scene.down("network")
            far.strait.cut()
            await asyncio.sleep(2.5 * LEASE)
            far.strait.heal(forgotten=forgotten)
            scene.up("network")
            await far.gave_up(slow)
            await scene.goes_on()
    if scene.long:
        await noticed(far)


async def worker_half_cut_off(scene: Scene) -> None:
    """Cut one direction only: a worker that hears nothing, and one whom nobody hears."""
    far = await apart(scene)
    scene.down("network")
    far.strait.cut(there=False)
    await asyncio.sleep(2 * LEASE)
    far.strait.heal()
    scene.up("network")
    await scene.goes_on()
    if scene.long:
        await noticed(far, there=False)
        await noticed(far, back=False)


async def noticed(far: Apart, *, there: bool = True, back: bool = True) -> None:
    """Cut a service off until it has found out."""
    await far.is_connected()
    far.scene.down("network")
    far.strait.cut(there=there, back=back)
    await far.finds_out()
    far.strait.heal(forgotten=True)
    far.scene.up("network")
    await far.scene.goes_on()


async def producer_cut_off(scene: Scene) -> None:
    """Cut the producer off for longer than it waits for an acknowledgement."""
    server = scene.serve()
    strait = scene.keep(Strait(server.port))
    await scene.hire()
    scene.at(through(server, strait), own=server.address)
    scene.produce()
    await scene.goes_on()
    for _ in range(int(scene.span(1, 4))):
        scene.down("network")
        strait.cut()
        await eventually(lambda: times_out(scene))
        strait.heal()
        scene.up("network")
        await scene.goes_on()


async def times_out(scene: Scene) -> bool:
    """Whether an enqueue of the time since the network is down failed."""
    entries = scene.ledger.entries()
    down = max(entry.when for entry in entries if entry.word == "down")
    return any(entry.when > down and entry.word == "refused" and TIMED_OUT in entry.fields for entry in entries)


SCENARIOS = (
    Scenario(
        "worker-cut-off",
        "the network between a worker and the server is cut",
        "Packets are dropped, with no reset and no end, for longer than the lease; then the connections go on, or are "
        "reset. Others take over what the worker ran, as soon as its lease and its presence have ended. When it is "
        "reachable again it is told, or reads it: its handlers are cancelled with `LeaseLostError`, and what they "
        "return is dropped. In the long form the cut lasts until the worker has found out by itself that both of its "
        "connections are dead, within half a minute.",
        worker_cut_off,
    ),
    Scenario(
        "worker-half-cut-off",
        "one direction of it is cut",
        "A worker whom the server does not reach, and in the long form one that does not reach the server, until it "
        "has found out. The former renews its leases and cannot write: its tasks wait until it gives up.",
        worker_half_cut_off,
        often=False,
    ),
    Scenario(
        "producer-cut-off",
        "the network between a producer and the server is cut",
        "`aenqueue` raises `EnqueueTimeoutError` after `enqueue_timeout`. What it had sent may be stored: such a task "
        "runs like any other, and the same id may be enqueued again.",
        producer_cut_off,
        often=False,
    ),
)
