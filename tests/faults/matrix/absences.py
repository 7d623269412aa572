"""Scenarios in which the one server is restarted, killed, away for a while, or lets nobody in."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from jetq.jetstream.address import find_address
from jetq.settings import ConnectionSettings
from tests.authorities import Operator, creds_text, user_key
from tests.faults.matrix.scene import Scenario, Scene
from tests.faults.matrix.strait import Strait
from tests.servers import TestServer, until

BALLAST = 45_000
"""Bytes of a payload that still travels with the item."""


async def gone_and_back(scene: Scene, server: TestServer, go: Callable[[], None], *, away: float = 0.0) -> None:
    """End the server in some way, and start it on the same store and port after some seconds."""
    scene.down("server")
    await asyncio.to_thread(go)
    await asyncio.sleep(away)
    await asyncio.to_thread(server.run)
    scene.up("server")
    await scene.goes_on()


async def server_restarted(scene: Scene) -> None:
    """Restart the server in order."""
    server = scene.serve()
    await scene.begin(services=1)
    for _ in range(int(scene.span(1, 10))):
        await gone_and_back(scene, server, server.stop)


async def server_killed(scene: Scene) -> None:
    """Kill the server, and start it again."""
    server = scene.serve()
    await scene.begin(services=1)
    for _ in range(int(scene.span(1, 10))):
        await gone_and_back(scene, server, server.kill)


async def server_away(scene: Scene) -> None:
    """Let workers and producers be without a server for a while."""
    server = scene.serve()
    await scene.begin(services=1)
    await gone_and_back(scene, server, server.kill, away=scene.span(5, 60))


async def credentials_rotated(scene: Scene) -> None:
    """Revoke the credentials in use: once after new ones were written, as one should, and once before."""
    operator, file, context = Operator(), scene.folder / "user.creds", scene.folder / "context.json"
    used = issue(operator, file)
    server = scene.serve(operator.configuration())
    context.write_text(json.dumps({"url": server.url, "creds": str(file)}))
    scene.environment["JETQ_CONTEXT"] = str(context)
    scene.at(server.url, own=find_address(ConnectionSettings(context=str(context))))
    await scene.begin(services=1)
    new = issue(operator, file)
    await revoked(scene, server, operator.configuration(revoked=[used]))
    await revoked(scene, server, operator.configuration(revoked=[used, new]), then=lambda: issue(operator, file))


async def revoked(scene: Scene, server: TestServer, extra: str, then: Callable[[], object] | None = None) -> None:
    """Let the server read its configuration again, and after a while in which nobody is let in write credentials."""
    scene.down("access")
    await asyncio.to_thread(server.reload, extra)
    if then is not None:
        await asyncio.sleep(scene.span(1, 20))
        then()
    scene.up("access")
    await scene.goes_on()


async def slow_consumer(scene: Scene) -> None:
    """Let nothing reach a worker while more is sent to it than sockets hold, so that the server cuts it off."""
    server = scene.serve('write_deadline: "300ms"')
    strait = scene.keep(Strait(server.port))
    await scene.hire("-c", "300", processes=1, more={"JETQ_NATS_URL": f"nats://{strait.url}"})
    scene.produce(rate=20.0)
    await scene.goes_on()
    async with scene.app() as app:
        for number in range(1, 1 + int(scene.span(1, 5))):
            scene.down("reading")
            strait.cut(there=False)
            await scene.enqueue(app, "plain", {"ballast": "." * BALLAST}, count=300)
            await until(lambda count=number: cut_off(server) >= count)
            strait.heal()
            scene.up("reading")
            await scene.goes_on()


def cut_off(server: TestServer) -> int:
    """Return how often the server gave up a slow consumer."""
    assert server.process is not None
    return server.process.log().count("Slow Consumer")


def issue(operator: Operator, file: Path) -> str:
    """Write a creds file of a new user, in one step, and return the user's public key."""
    key, fresh = user_key(), file.with_suffix(".new")
    fresh.write_text(creds_text(operator.user(key), key.seed))
    fresh.rename(file)
    return key.public


SCENARIOS = (
    Scenario(
        "server-restarted",
        "nats-server is restarted",
        "`SIGTERM`, and a new process on the same store. Connections are cut, handlers go on, and what they returned "
        "is written when the server is back. An enqueue at that moment waits; producers see nothing.",
        server_restarted,
        often=False,
    ),
    Scenario(
        "server-killed",
        "nats-server is killed",
        "`SIGKILL`, and a new process on the same store. What was acknowledged is there. What it had handed to "
        "workers comes a second time, and they know it as theirs.",
        server_killed,
    ),
    Scenario(
        "server-away",
        "nats-server is away for a minute (5 s in the short form)",
        "Killed, and started only later, with producers and workers running. Workers try to reconnect without an "
        "end, at most 2 s apart; `aenqueue` raises `EnqueueTimeoutError` after `enqueue_timeout`. The longest stall "
        "is the time that it is away, and a little.",
        server_away,
        often=False,
    ),
    Scenario(
        "credentials-rotated",
        "credentials are revoked while in use",
        "The account's JWT revokes the user that everybody is, and the server reloads it: once when the creds file "
        "holds a new user already, once before. jetq reads the file for every attempt to connect, so nothing need be "
        "restarted. Meanwhile the log says `connection lost` with the server's reason.",
        credentials_rotated,
        often=False,
    ),
    Scenario(
        "slow-consumer",
        "a worker reads too slowly",
        "300 tasks of 45 kB are sent to a worker that reads nothing for a moment (its machine stands still, or its "
        "line is slow); the server (`write_deadline` 0.3 s here, 10 s by default) calls it a slow consumer and cuts "
        "it off. The worker connects again, and what it was to get is delivered anew. The server's log says `Slow "
        "Consumer Detected`, the worker's `connection lost`.",
        slow_consumer,
        often=False,
    ),
)
