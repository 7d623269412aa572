"""
faststream_peer: FastStream on NATS JetStream with a pull subscriber. It is no task queue, and stores no results.
"""

from typing import Any

from faststream import FastStream
from faststream.nats import JStream, NatsBroker, PullSub

from bench.peers.adapter import NATS_URL, Adapter, Payload, handle, module_command

_NAME = "bench_faststream"
_SUBJECT = "bench.faststream"

broker = NatsBroker(NATS_URL, logger=None)
app = FastStream(broker, logger=None)
stream = JStream(name=_NAME)


@broker.subscriber(_SUBJECT, stream=stream, durable=_NAME, pull_sub=PullSub(batch_size=100, timeout=5.0))
async def noop(payload: dict) -> None:  # type: ignore[type-arg]  # FastStream reads the annotation
    """Do nothing."""
    handle(payload)


class FastStreamPeer(Adapter):
    """FastStream."""

    distributions = ("faststream", "nats-py", "uvloop")
    stores_results = False
    waits = False
    is_async = True
    tasks = 10_000
    configuration = "pull subscriber, PullSub(batch_size=100), file storage, acknowledged after handling, no results"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [module_command("faststream", "run", "bench.peers.faststream_peer:app")]

    async def open(self) -> None:
        """Connect, and make the stream."""
        await broker.connect()
        self.jetstream: Any = broker.config.connection_state.stream
        await self.jetstream.add_stream(name=_NAME, subjects=[_SUBJECT])

    async def close(self) -> None:
        """Disconnect."""
        await broker.stop()

    async def reset(self) -> None:
        """Drop all."""
        await self.jetstream.purge_stream(_NAME)

    async def enqueue(self, payload: Payload) -> None:
        """Publish one; with a stream named it waits for the acknowledgement."""
        await broker.publish(payload, _SUBJECT, stream=_NAME)
