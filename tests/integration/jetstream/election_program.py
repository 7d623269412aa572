"""
A candidate as a process: ``python -m tests.integration.jetstream.election_program URL NAMESPACE NAME LOG``.

While it leads it appends its name to LOG, again and again, each time after asking whether it may.
"""

import asyncio
import os
import sys
import time

from jetq.jetstream.address import Address
from jetq.jetstream.connection import Connection
from jetq.jetstream.election import Election
from jetq.observe.bus import Bus
from jetq.wire.names import Names


async def act(url: str, namespace: str, name: str, log: str) -> None:
    stream = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    async with (
        await Connection.open(Address.of(url), name=name) as connection,
        Election(connection, Names(namespace), "janitor", name, bus=Bus()) as election,
    ):
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        while True:
            if election.is_leader:
                os.write(stream, f"{name} {election.term} {time.monotonic()}\n".encode())
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(act(*sys.argv[1:]))
