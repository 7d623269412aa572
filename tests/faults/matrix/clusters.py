"""Scenarios with a cluster of three servers, in which everything has three copies."""

import asyncio

from jetq.wire.names import Names
from tests.faults.matrix.load import REPLICAS
from tests.faults.matrix.scene import Scenario, Scene
from tests.servers import TestCluster, TestServer

META = "meta"
COPIES = 3


async def at_work(scene: Scene) -> TestCluster:
    """Return a cluster at which workers and producers work."""
    cluster = scene.keep(await asyncio.to_thread(TestCluster.start))
    scene.environment[REPLICAS] = str(COPIES)
    scene.at(cluster.url)
    await scene.begin()
    await cluster.is_well()
    assert cluster.fewest_copies() == COPIES
    return cluster


async def stream_leader_killed(scene: Scene) -> None:
    """Kill whoever leads the tasks, later also whoever leads the queue and the schedules."""
    cluster, names = await at_work(scene), Names(scene.namespace)
    for stream in (names.tasks, names.queue("DEFAULT"), names.schedules)[: int(scene.span(1, 3))]:
        await led_by_others(scene, cluster, stream)


async def meta_leader_killed(scene: Scene) -> None:
    """Kill whoever leads the cluster."""
    cluster = await at_work(scene)
    for _ in range(int(scene.span(1, 3))):
        await led_by_others(scene, cluster, META)


async def led_by_others(scene: Scene, cluster: TestCluster, what: str) -> None:
    """Kill a leader, see that work goes on without it, and start it again."""
    server = cluster.named(cluster.leaders()[what])
    scene.down("leader")
    await asyncio.to_thread(server.kill)
    await cluster.is_led()
    scene.up("leader")
    await scene.goes_on()
    await back(cluster, server)
    await scene.goes_on()


async def back(cluster: TestCluster, *servers: TestServer) -> None:
    """Start servers, and wait until they have caught up."""
    for server in servers:
        await asyncio.to_thread(server.run)
    await cluster.is_well()


async def two_killed(scene: Scene) -> None:
    """Kill two of three, so that nobody may lead, and start them again."""
    cluster = await at_work(scene)
    for away in (2.0, 10.0, 40.0)[: int(scene.span(1, 3))]:
        first = cluster.named(cluster.leaders()[META])
        second = next(server for server in cluster.servers if server is not first)
        scene.down("majority")
        for server in (first, second):
            await asyncio.to_thread(server.kill)
        await asyncio.sleep(away)
        await back(cluster, first, second)
        await cluster.is_led()
        scene.up("majority")
        await scene.goes_on()


async def rolling_restart(scene: Scene) -> None:
    """Restart one server after the other, each when all are well."""
    cluster = await at_work(scene)
    for _ in range(int(scene.span(1, 3))):
        for server in cluster.servers:
            scene.fault("server stopped")
            await asyncio.to_thread(server.stop)
            await scene.goes_on(within=30.0)
            await back(cluster, server)
    await scene.goes_on()


SCENARIOS = (
    Scenario(
        "stream-leader-killed",
        "the leader of a stream is killed (3 servers)",
        "`SIGKILL` to the server that leads the stream of the tasks; in the long form then to that of the queue, and "
        "of the schedules. The two that are left elect another, which takes nats-server 4 to 9 s in which nothing can "
        "be written; handlers go on. jetq goes on at once when there is a leader.",
        stream_leader_killed,
    ),
    Scenario(
        "meta-leader-killed",
        "the leader of the cluster is killed (3 servers)",
        "`SIGKILL` to the server that leads the cluster itself, and with it a third of everything else.",
        meta_leader_killed,
        often=False,
    ),
    Scenario(
        "two-servers-killed",
        "two of three servers are killed",
        "The one that is left may not lead, so nothing can be written until another one is back: handlers go on, "
        "`aenqueue` raises `EnqueueTimeoutError`, and everything else that asks waits, and then says `NoLeaderError`.",
        two_killed,
        often=False,
    ),
    Scenario(
        "rolling-restart-of-servers",
        "three servers are restarted, one after the other",
        "As an upgrade does it: `SIGTERM`, start again, wait for `/healthz`, then the next. A server that stops in "
        "order hands over what it leads, so nothing waits longer than a moment.",
        rolling_restart,
        often=False,
    ),
)
