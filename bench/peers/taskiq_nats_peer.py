"""
taskiq_nats_peer: taskiq with taskiq-nats: a pull consumer of JetStream, results in an object store.
"""

from typing import Any

from taskiq_nats import NATSObjectStoreResultBackend, PullBasedJetStreamBroker

from bench.peers.adapter import NATS_URL, Payload, handle
from bench.peers.taskiq_peer import TaskiqPeer

_NAME = "bench_taskiq"

broker = PullBasedJetStreamBroker(
    servers=NATS_URL,
    subject=_NAME,
    stream_name=_NAME,
    durable=_NAME,
    pull_consume_batch=100,
    pull_consume_timeout=5.0,
).with_result_backend(NATSObjectStoreResultBackend(servers=NATS_URL, bucket_name=_NAME))


@broker.task
async def noop(payload: dict) -> dict:  # type: ignore[type-arg]  # taskiq reads the annotations
    """Do nothing."""
    return handle(payload)


class TaskiqNats(TaskiqPeer):
    """taskiq on NATS."""

    distributions = ("taskiq", "taskiq-nats", "nats-py", "uvloop")
    module = "bench.peers.taskiq_nats_peer"
    tasks = 3_000
    configuration = (
        "PullBasedJetStreamBroker (batches of 100, file storage), results in an object store, --workers 1,"
        " --max-async-tasks 100 (default), --max-prefetch 100, uvloop; the caller polls every 10 ms"
    )

    async def open(self) -> None:
        """Connect."""
        await broker.startup()

    async def close(self) -> None:
        """Disconnect."""
        await broker.shutdown()

    async def reset(self) -> None:
        """Drop all."""
        await broker.js.purge_stream(_NAME)
        await broker.js.purge_stream(f"OBJ_{_NAME}")

    async def enqueue(self, payload: Payload) -> Any:
        """Enqueue one."""
        return await noop.kiq(payload)

    async def count_results(self) -> int:
        """Count the objects, each of which is two messages."""
        return (await broker.js.stream_info(f"OBJ_{_NAME}")).state.messages // 2
