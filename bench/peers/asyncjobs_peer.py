"""
asyncjobs_peer: asyncjobs in Go, whose protocol jetq speaks, with its own worker and its own client.

The client is a Go program that is told what to enqueue by lines of its input; a single call is slower by the pipe, some
tens of microseconds.
"""

import asyncio
import subprocess

from bench.peers.adapter import NATS_URL, Adapter, Payload
from bench.peers.bare_peer import purge
from bench.peers.environments import go_program

_SLOTS = 100


class AsyncjobsPeer(Adapter):
    """asyncjobs."""

    has_bulk = True
    waits = False
    tasks = 6_000
    singles = 1_000
    configuration = (
        "asyncjobs 0.3.0 in Go, ClientConcurrency(100) (default 10), file storage; bulk: 100 goroutines that enqueue"
    )

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        return [[go_program(), "work", NATS_URL, str(_SLOTS)]]

    async def open(self) -> None:
        """Start its client."""
        command = (go_program(), "client", NATS_URL)
        self.process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        await self._answer()

    async def close(self) -> None:
        """End its client."""
        self.process.terminate()
        await self.process.wait()

    async def reset(self) -> None:
        """Drop all."""
        await purge(NATS_URL, "CHORIA_AJ")

    async def enqueue(self, payload: Payload) -> None:
        """Enqueue one."""
        await self._tell(payload["index"], 1, 1)

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many at one time, since it has no call for that."""
        await self._tell(payloads[0]["index"], len(payloads), _SLOTS)

    async def count_results(self) -> int:
        """Do not count: it keeps every state as jetq does."""
        return -1

    async def _tell(self, first: int, count: int, abreast: int) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write(f"many {first} {count} {abreast}\n".encode())
        await self._answer()

    async def _answer(self) -> None:
        line = await self.process.stdout.readline() if self.process.stdout else b""
        if not line:
            raise ConnectionError("asyncjobs' client ended")
