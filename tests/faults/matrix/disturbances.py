"""Scenarios in which nobody dies: clocks that are set wrong, and processes that stand still for a while."""

import asyncio
import os
import signal
import time

from tests.faults.matrix.clock import SetClock
from tests.faults.matrix.scene import Scenario, Scene
from tests.faults.program import LEASE
from tests.integration.watching import eventually
from tests.servers import freeze

HOUR = 3600.0
SILENCE = 3.0
"""Seconds after which a supervisor replaces a child that says nothing, in the scenario that depends on it."""


async def clock_set(scene: Scene) -> None:
    """Set the clock of a service ahead by an hour, right, and behind by an hour."""
    scene.serve()
    clock = SetClock(scene.folder)
    await asyncio.gather(scene.hire(more=clock.environment), scene.hire())
    scene.produce()
    await scene.goes_on()
    for _ in range(int(scene.span(1, 5))):
        for ahead in (HOUR, 0.0, -HOUR, 0.0):
            scene.fault("clock")
            clock.set(ahead)
            await is_set(scene, ahead)
            await scene.goes_on()


async def is_set(scene: Scene, ahead: float) -> None:
    """Wait until a handler has read a clock that is ahead by so much."""
    since = time.monotonic()

    async def was_read() -> bool:
        told = [entry for entry in scene.ledger.entries() if entry.word == "wall" and entry.when > since]
        return any(abs(float(entry.fields[1]) - time.time() - ahead) < HOUR / 2 for entry in told)

    await eventually(was_read)


async def child_frozen(scene: Scene) -> None:
    """Let a child stand still for longer than its lease, and go on."""
    scene.serve()
    await scene.begin()
    for _ in range(int(scene.span(1, 10))):
        await still(scene, scene.services[0].children()[0], 2 * LEASE)
    assert [event for service in scene.services for event in service.events("child is replaced")] == []


async def still(scene: Scene, pid: int, seconds: float) -> None:
    """Let a process stand still for a while; whatever others take over meanwhile must be given up by it."""
    scene.down("process")
    await asyncio.to_thread(freeze, pid)
    await asyncio.sleep(seconds)
    os.kill(pid, signal.SIGCONT)
    scene.up("process")
    await scene.goes_on()


async def supervisor_frozen(scene: Scene) -> None:
    """Let a supervisor stand still for longer than a child may be silent; none of its children is to blame."""
    scene.serve()
    service = await scene.hire("--child-timeout", f"{SILENCE:.0f}s")
    scene.produce()
    await scene.goes_on()
    family = service.children()
    for _ in range(int(scene.span(1, 10))):
        scene.fault("supervisor stands still")
        await asyncio.to_thread(freeze, service.process.pid)
        await asyncio.sleep(SILENCE + 0.5)
        await scene.goes_on()
        os.kill(service.process.pid, signal.SIGCONT)
        await scene.goes_on()
    await asyncio.sleep(1.0)  # in which it would have killed them
    assert service.children() == family


SCENARIOS = (
    Scenario(
        "clock-set",
        "the clock of a worker's machine is set",
        "An hour ahead, right, an hour behind, right, under load, and no task notices: due times, leases, deadlines "
        "and retries go by the server's clock and the monotonic one. The log says that the clock differs, once an "
        "answer of the server shows it.",
        clock_set,
        often=False,
    ),
    Scenario(
        "child-frozen",
        "a process of a worker stands still for longer than its lease",
        "`SIGSTOP`, and `SIGCONT` after two leases (a machine that swaps, a paused virtual machine). Others take over "
        "what it ran. When it goes on it finds that out before it writes anything: a result of a run that is no longer "
        "its own is refused, and dropped.",
        child_frozen,
        often=False,
    ),
    Scenario(
        "supervisor-frozen",
        "a supervisor stands still",
        "`SIGSTOP` for longer than a child may be silent. Children need it for nothing but their replacement, so work "
        "goes on; and when it goes on, it reads what they said meanwhile before it judges them.",
        supervisor_frozen,
        often=False,
    ),
)
