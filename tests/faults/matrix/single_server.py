"""Scenarios with one server: its restarts and its absence, workers that die, and a server that cannot write."""

import asyncio

from tests.faults.matrix.scene import Scenario, Scene


async def nothing(scene: Scene) -> None:
    """Break nothing."""
    scene.serve()
    await scene.begin()
    await asyncio.sleep(scene.span(3, 30))


async def server_killed(scene: Scene) -> None:
    """Kill the server, and start it again on its store."""
    server = scene.serve()
    await scene.begin()
    scene.down("server")
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.run)
    scene.up("server")
    await scene.goes_on()


SCENARIOS = (
    Scenario("nothing", "nothing is broken", "The control.", nothing),
    Scenario("server-killed", "nats-server is killed", "", server_killed),
)
