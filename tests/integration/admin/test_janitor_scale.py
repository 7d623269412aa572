"""A pass over a million records, within its budget."""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec import Raw

from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.model.record import Result, Run, TaskRecord
from jetq.model.state import State
from jetq.model.upkeep import Repair
from jetq.observe.bus import Bus
from jetq.settings import Queue, Settings
from jetq.wire.codec import encode_item, new_document
from jetq.wire.ids import new_id
from jetq.wire.names import TTL
from tests.servers import TestServer

ROOT = Path(__file__).parents[3]
RECORDS, ITEMS, LOST, STRAY = 1_000_000, 100_000, 100, 100
PROCESSOR_SECONDS, RESIDENT = 60.0, 300 * 1024 * 1024
_BATCH = 5_000


async def fill(backend: Backend) -> None:
    """Store ended tasks, tasks with items, and some of each without the other."""
    names, publish = backend.names, backend.publisher.publish_many
    created = datetime.now(UTC)
    final = TaskRecord(
        id="",
        type="email:new",
        queue="DEFAULT",
        payload=b'{"to":"somebody@example.org","subject":"a subject"}',
        state=State.COMPLETE,
        created=created,
        tried=created,
        tries=1,
        runs=1,
        max_tries=10,
        run=Run(new_id(), 1, "0123abcd"),
        result=Result(Raw(b'"sent"'), created),
        nonce="0123abcd",
    )
    done = new_document(final).encode()
    waiting = new_document(
        TaskRecord(id="", type="email:new", queue="DEFAULT", payload=final.payload, state=State.NEW, created=created)
    ).encode()

    def with_id(data: bytes, task_id: str) -> bytes:
        return data.replace(b'"id":""', b'"id":"%b"' % task_id.encode(), 1)

    kept = {TTL: "3600s"}
    for _ in range((RECORDS - ITEMS) // _BATCH):
        ids = [new_id() for _ in range(_BATCH)]
        await publish([Publication(names.record(task_id), with_id(done, task_id), kept) for task_id in ids])
    for number in range(ITEMS // _BATCH):
        ids = [new_id() for _ in range(_BATCH)]
        records = [with_id(waiting, task_id) for task_id in ids]
        pairs = zip(ids, records, strict=True)
        sequences = await publish([Publication(names.record(task_id), record) for task_id, record in pairs])
        items = [
            Publication(names.item("DEFAULT", task_id), encode_item(task_id, sequence, record))
            for task_id, record, sequence in zip(ids, records, sequences, strict=True)
            if isinstance(sequence, int)
        ]
        await publish(items[LOST:] if number == 0 else items)
    strays = [new_id() for _ in range(STRAY)]
    await publish([Publication(names.item("DEFAULT", task_id), encode_item(task_id, 1, b"{}")) for task_id in strays])


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_a_million_records_are_passed_within_the_budget(own_server: TestServer, namespace: str) -> None:
    settings = Settings(namespace=namespace)
    backend = await Backend.open(
        own_server.address, settings, name="test", bus=Bus(), queues=[Queue("DEFAULT", lease=15)]
    )
    await fill(backend)
    await backend.close()

    command = [sys.executable, "-m", "tests.integration.admin.janitor_at_scale", own_server.url, namespace]
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    out, _ = await child.communicate()
    figures = json.loads(out)

    print(figures)  # noqa: T201 - whoever watches the budget wants them
    assert figures["records"] == RECORDS
    assert figures["repairs"] == {Repair.ITEM: LOST, Repair.ORPHAN_ITEM: STRAY}
    assert figures["complete"]
    assert figures["processor"] < PROCESSOR_SECONDS
    assert figures["resident"] < RESIDENT
