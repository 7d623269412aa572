"""Scenarios in which workers, their supervisors and the processes of handlers are killed."""

import asyncio
import random

from jetq.worker.ownership import SETTLE_DOWN
from tests.faults.matrix.scene import SWIFT, Scenario, Scene
from tests.faults.process_table import lives
from tests.faults.service import PATIENCE
from tests.integration.watching import eventually


async def nothing(scene: Scene) -> None:
    """Break nothing."""
    scene.serve()
    await scene.begin(services=1)
    await asyncio.sleep(scene.span(2, 30))


async def children_killed(scene: Scene) -> None:
    """Kill a child at random whenever all are there; not more often, since a third death would end its tasks."""
    scene.serve()
    service = await scene.hire(processes=3, program=SWIFT)
    scene.produce()
    await scene.goes_on()
    for _ in range(int(scene.span(4, 50))):
        await service.ready(3)
        await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - no secret
        scene.kill(random.choice(service.children()))  # noqa: S311 - as above
    await scene.goes_on()


async def supervisor_killed(scene: Scene) -> None:
    """Kill a supervisor together with one of its children, and start another in its place."""
    scene.serve()
    await scene.begin()
    await asyncio.sleep(SETTLE_DOWN)  # before that, nobody's absence proves anything
    for number in range(int(scene.span(1, 10))):
        service = scene.services[number]
        family = service.children()
        service.process.kill()
        scene.kill(family[0])
        await has_ended(family)
        await scene.hire()
    await scene.goes_on()


async def has_ended(family: list[int]) -> None:
    """Wait until all of these processes are gone."""

    async def are_gone() -> bool:
        return not any(map(lives, family))

    await eventually(are_gone, within=PATIENCE)


async def pool_processes_killed(scene: Scene) -> None:
    """Kill processes of handlers while handlers run in them."""
    scene.serve()
    await scene.hire("--pool-processes", "2")
    scene.produce(rate=20.0, kinds=("process", "process", "plain"))
    await scene.goes_on()
    for _ in range(int(scene.span(5, 50))):
        scene.kill(await busy_process(scene))
        await scene.goes_on(6)  # a process needs a moment to start: the fault is to be its death, not a lack of them


async def busy_process(scene: Scene) -> int:
    """Return a process in which a handler has just begun."""
    begin, found = scene.ledger.size(), [0]

    async def is_there() -> bool:
        seen = scene.ledger.entries(begin)
        over = {entry.fields for entry in seen if entry.word == "end"}
        busy = [entry.fields for entry in seen if entry.word == "start" and entry.fields not in over]
        found[0] = max((int(run[2].partition("+")[2] or 0) for run in busy), default=0)
        return found[0] > 0

    await eventually(is_there)
    return found[0]


SCENARIOS = (
    Scenario(
        "nothing",
        "nothing",
        "The control: what the machine and the load are like without a fault.",
        nothing,
        often=False,
    ),
    Scenario(
        "children-killed",
        "processes of a worker are killed",
        "`SIGKILL` to one of three children of `jetq worker -p 3`, at random, again and again (as the kernel does "
        "when memory is short). The supervisor knows what the dead one had in flight and gives it to a sibling at "
        "once; those runs are repeated, and cost their tasks a try each. A user sees `child is replaced` in the log.",
        children_killed,
    ),
    Scenario(
        "supervisor-killed",
        "a supervisor and a child of it are killed",
        "`SIGKILL` to both at one moment, so that nobody hands over what the child had. Its tasks run elsewhere "
        "after the lease; the orphaned child finishes what it runs, and ends; a new service takes its place.",
        supervisor_killed,
        often=False,
    ),
    Scenario(
        "pool-processes-killed",
        'processes of `pool="process"` are killed',
        "`SIGKILL` to processes in which handlers run. Each costs the task in it a try; the worker makes a new "
        "process, and no other task notices.",
        pool_processes_killed,
        often=False,
    ),
)
