"""
bare: the bare loop, which is what jetq is measured against.

The writes are jetq's, one for one: record → acknowledged → item with the record inside → acknowledged → event; then
item → claim → acknowledged → event → handler → end with a time to live → acknowledged → event → item acknowledged. The
records, items and events have the same fields. Everything else that makes a task queue is left out: no lost answers, no
reconnects, no retries, no time-outs, no leases, no validation of arguments.

It uses nats-py's public API as well as that can be done: one inbox with a dictionary of futures takes all
acknowledgements, and deliveries come by a callback and pull requests, since ``js.publish`` and ``fetch`` cost four
times as much.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import nats
from msgspec import UNSET, Raw, Struct, UnsetType
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench import work

WINDOW: Final = 1000
"""Publishes without an acknowledgement at one time."""
BATCH: Final = 250

_decode_payload: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Run(Struct):
    """Who runs a task."""

    worker: str
    attempt: int
    nonce: str


class Result(Struct):
    """What the handler returned, and when."""

    payload: Raw
    completed: datetime


class Record(Struct):
    """A record with the fields that jetq writes for such a task."""

    id: str
    type: str
    queue: str
    payload: bytes
    max_tries: int
    state: str
    created: datetime
    tries: int
    nonce: str
    tried: datetime | UnsetType = UNSET
    run: Run | UnsetType = UNSET
    runs: int | UnsetType = UNSET
    result: Result | UnsetType = UNSET


class Item(Struct):
    """A queue's item."""

    kind: int
    job: str
    seq: int
    task: Record


class Event(Struct):
    """A lifecycle event."""

    event_id: str
    type: str
    timestamp: datetime
    task_id: str
    state: str
    tries: int
    queue: str
    task_type: str
    task_age: int
    sequence: int
    worker: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    duration: int | UnsetType = UNSET


class Ack(Struct):
    """The stream's answer to a publish."""

    seq: int = 0
    error: dict[str, Any] | None = None


_decode_item: Final = msgspec.json.Decoder(Item).decode
_decode_record: Final = msgspec.json.Decoder(Record).decode
_decode_ack: Final = msgspec.json.Decoder(Ack).decode


def new_id() -> str:
    """Return an id of a ULID's length."""
    return secrets.token_hex(13).upper()


class Loop:
    """A connection with what both halves need: publishes that are acknowledged, and events."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self._inbox = client.new_inbox()
        self._acks: dict[str, asyncio.Future[int]] = {}
        self._token = 0
        self._new_future = asyncio.get_running_loop().create_future

    @classmethod
    async def open(cls, url: str, namespace: str) -> "Loop":
        """Connect and listen for acknowledgements."""
        client = await nats.connect(url, skip_subject_validation=True)  # pyright: ignore[reportUnknownMemberType] - the same
        loop = cls(client, namespace)
        await loop.listen(f"{loop._inbox}.*", loop._on_ack)
        return loop

    async def listen(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> None:
        """Subscribe."""
        await self.client.subscribe(subject, cb=callback)  # pyright: ignore[reportUnknownMemberType] - nats-py's

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> asyncio.Future[int]:
        """Publish to a stream; the future becomes the message's sequence."""
        self._token += 1
        reply = f"{self._inbox}.{self._token}"
        future = self._acks[reply] = self._new_future()
        await self.client.publish(subject, data, reply=reply, headers=headers)
        return future

    async def _on_ack(self, message: Msg) -> None:
        future = self._acks.pop(message.subject)
        ack = _decode_ack(message.data)
        if ack.error is None:
            future.set_result(ack.seq)
        else:
            future.set_exception(RuntimeError(ack.error))

    async def tell(self, record: Record, sequence: int, seconds: float | None = None) -> None:
        """Publish the event of a record's state; *seconds* are those of a run that has ended."""
        now = datetime.now(UTC)
        run = record.run
        event = Event(
            event_id=f"{record.id}-{sequence}",
            type="io.choria.asyncjobs.v1.task_state",
            timestamp=now,
            task_id=record.id,
            state=record.state,
            tries=record.tries,
            queue=record.queue,
            task_type=record.type,
            task_age=int((now - record.created).total_seconds() * 1e9),
            sequence=sequence,
            worker=UNSET if run is UNSET else run.worker,
            attempt=record.runs,
            outcome=UNSET if seconds is None else "succeeded",
            duration=UNSET if seconds is None else round(seconds * 1e9),
        )
        await self.client.publish(f"{self.namespace}.E.task_state.{record.id}", work.encode(event))


class Producer:
    """Enqueues."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    async def enqueue_many(self, payloads: list[dict[str, Any]]) -> list[str]:
        """Enqueue tasks; return their ids when all are acknowledged."""
        batches = [payloads[start : start + BATCH] for start in range(0, len(payloads), BATCH)]
        abreast = WINDOW // BATCH
        ids: list[str] = []
        for start in range(0, len(batches), abreast):
            for made in await asyncio.gather(*map(self._enqueue_batch, batches[start : start + abreast])):
                ids += made
        return ids

    async def _enqueue_batch(self, payloads: list[dict[str, Any]]) -> list[str]:
        loop, namespace = self._loop, self._loop.namespace
        written: list[tuple[Record, bytes, asyncio.Future[int]]] = []
        for payload in payloads:
            record = Record(
                id=new_id(),
                type=work.TASK_TYPE,
                queue=work.QUEUE,
                payload=work.encode(payload),
                max_tries=work.MAX_TRIES,
                state="new",
                created=datetime.now(UTC),
                tries=0,
                nonce=os.urandom(4).hex(),
            )
            data = work.encode(record)
            headers = {"Nats-Expected-Last-Subject-Sequence": "0"}
            written.append((record, data, await loop.publish(f"{namespace}.T.{record.id}", data, headers)))
        queued: list[tuple[Record, int, asyncio.Future[int]]] = []
        for record, data, ack in written:
            sequence = await ack
            item = b'{"kind":0,"job":"%b","seq":%d,"task":%b}' % (record.id.encode(), sequence, data)
            headers = {"Nats-Expected-Last-Subject-Sequence": "0"}
            subject = f"{namespace}.Q.{work.QUEUE}.{record.id}"
            queued.append((record, sequence, await loop.publish(subject, item, headers)))
        for record, sequence, ack in queued:
            await ack
            await loop.tell(record, sequence)
        return [record.id for record, _, _ in queued]


class Caller:
    """Waits for a result as jetq does: it listens to the task's events and reads its record until that has ended."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    async def result(self, task_id: str) -> Any:
        """Return the result of a task that was just enqueued."""
        namespace, client, told = self._loop.namespace, self._loop.client, asyncio.Event()

        async def on_event(_message: Msg) -> None:
            told.set()

        heard = await client.subscribe(f"{namespace}.E.task_state.{task_id}", cb=on_event)  # pyright: ignore[reportUnknownMemberType] - nats-py's
        subject = f"$JS.API.DIRECT.GET.{namespace}_TASKS.{namespace}.T.{task_id}"
        while (found := _decode_record((await client.request(subject)).data)).result is UNSET:
            await told.wait()
            told.clear()
        await heard.unsubscribe()
        return msgspec.json.decode(found.result.payload)


class Worker:
    """Runs tasks, each in an asyncio task of its own, *slots* at one time."""

    def __init__(
        self, loop: Loop, handler: Callable[..., Awaitable[Any]], *, slots: int, on_complete: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._slots = slots
        self._on_complete = on_complete
        self._id = new_id()
        self._inbox = loop.client.new_inbox()
        self._credit = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to pull."""
        await self._loop.listen(self._inbox, self._on_item)
        await self._pull(self._slots)

    async def _pull(self, count: int) -> None:
        self._credit += count
        request = {"batch": count, "expires": 30_000_000_000, "idle_heartbeat": 5_000_000_000}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._loop.namespace}_Q_{work.QUEUE}.WORKERS"
        await self._loop.client.publish(subject, work.encode(request), reply=self._inbox)

    async def _on_item(self, message: Msg) -> None:
        if not message.reply:
            return
        task = asyncio.create_task(self._run(message))
        self._tasks.add(task)
        task.add_done_callback(self._on_end)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        task.result()

    async def _run(self, message: Msg) -> None:
        item = _decode_item(message.data)
        record = item.task
        record.state = "active"
        record.tries += 1
        record.runs = 1
        record.tried = datetime.now(UTC)
        record.run = Run(self._id, 1, os.urandom(4).hex())
        sequence = await self._write(record, {"Nats-Expected-Last-Subject-Sequence": str(item.seq)})
        await self._loop.tell(record, sequence)
        started = time.perf_counter()
        value = await self._handler(**_decode_payload(record.payload))
        seconds = time.perf_counter() - started
        now = datetime.now(UTC)
        record.state = "complete"
        record.tried = now
        record.result = Result(Raw(work.encode(value)), now)
        sequence = await self._write(
            record, {"Nats-Expected-Last-Subject-Sequence": str(sequence), "Nats-TTL": work.COMPLETE_KEPT}
        )
        await self._loop.tell(record, sequence, seconds)
        await self._loop.client.publish(message.reply, b"+ACK")
        self._credit -= 1
        if self._credit <= self._slots // 2:
            await self._pull(self._slots - self._credit)
        self._on_complete()

    async def _write(self, record: Record, headers: dict[str, str]) -> int:
        return await (await self._loop.publish(f"{self._loop.namespace}.T.{record.id}", work.encode(record), headers))
