"""
byhand: a producer and a worker that were written after docs/reference/protocol.md, and know nothing of jetq's code.

They stand for a program in another language: core NATS by an ordinary client, JSON, and what the page says. What they
do wrong, or cannot do, is missing there.
"""

import hashlib
import json
import secrets
from base64 import b32encode, b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from nats.aio.client import Client
from nats.aio.msg import Msg

REFUSED = 10071
"""Error code of a compare-and-swap that lost."""


def now(seconds: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class ByHand:
    """
    A program of another language.

    Args:
        client: Its connection.
        namespace: ``NS`` of the page.
    """

    def __init__(self, client: Any, namespace: str) -> None:
        self._client = client
        self.ns = namespace
        self.worker = f"HAND-{secrets.token_hex(4)}"
        self.running: dict[str, Any] = {}

    @classmethod
    async def connect(cls, url: str, namespace: str) -> Self:
        client: Any = Client()  # its types are partial
        await client.connect(url)
        return cls(client, namespace)

    async def close(self) -> None:
        await self._client.close()

    # streams

    async def store(self, subject: str, body: dict[str, Any], *, expect: int | None = None, **headers: str) -> int:
        """Publish to a stream and return the sequence; 0 if the expectation was wrong."""
        wanted = {} if expect is None else {"Nats-Expected-Last-Subject-Sequence": str(expect)}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self._client.request(subject, json.dumps(body).encode(), 2.0, headers={**wanted, **given})
        told = json.loads(answer.data)
        if "error" in told:
            assert told["error"]["err_code"] == REFUSED, told
            return 0
        return int(told["seq"])

    async def last(self, stream: str, subject: str) -> tuple[int, dict[str, Any]] | None:
        """Read the last message of a subject from the stream's leader."""
        asked = json.dumps({"last_by_subj": subject}).encode()
        answer = json.loads((await self._client.request(f"$JS.API.STREAM.MSG.GET.{stream}", asked)).data)
        if "error" in answer:
            return None
        return answer["message"]["seq"], json.loads(b64decode(answer["message"]["data"]))

    async def record(self, task_id: str) -> tuple[int, dict[str, Any]]:
        found = await self.last(f"{self.ns}_TASKS", f"{self.ns}.T.{task_id}")
        assert found is not None
        return found

    # producer

    async def write_new(self, task_id: str, task_type: str, payload: Any, **keys: Any) -> tuple[int, dict[str, Any]]:
        record = {
            "id": task_id,
            "type": task_type,
            "queue": "DEFAULT",
            "payload": b64encode(json.dumps(payload).encode()).decode(),
            "max_tries": 10,
            "state": "new",
            "created": now(),
            "tries": 0,
            "nonce": secrets.token_hex(4),
        } | keys
        sequence = await self.store(f"{self.ns}.T.{task_id}", record, expect=0)
        assert sequence
        return sequence, record

    def item(self, sequence: int, record: dict[str, Any]) -> dict[str, Any]:
        return {"kind": 0, "job": record["id"], "seq": sequence, "task": record}

    async def make_runnable(self, sequence: int, record: dict[str, Any]) -> None:
        """Publish the item of a record, or its schedule."""
        task_id, queue = record["id"], record["queue"]
        if "due" in record:
            await self.store(
                f"{self.ns}.S.{queue}.{task_id}",
                self.item(sequence, record),
                Nats_Schedule=f"@at {record['due']}",
                Nats_Schedule_Target=f"{self.ns}.D.{queue}.{task_id}",
            )
            return
        subject, expect = f"{self.ns}.Q.{queue}.{task_id}", 0
        while not await self.store(subject, self.item(sequence, record), expect=expect):
            found = await self.last(f"{self.ns}_Q_{queue}", subject)
            if found is None:
                expect = 0
                continue
            expect, item = found
            if item.get("seq", 0) >= sequence:
                return
            sequence, record = await self.record(task_id)
            if record["state"] not in {"new", "retry", "queue_error", "", "active"} or "due" in record:
                return

    async def enqueue(self, task_id: str, task_type: str, payload: Any = None, **keys: Any) -> None:
        await self.make_runnable(*await self.write_new(task_id, task_type, payload, **keys))

    async def enqueue_child(self, task_id: str, task_type: str, parents: list[str]) -> None:
        """Enqueue a task that wants the results of others, which have not ended."""
        await self.store(f"{self.ns}.B.{task_id}", {})
        keys = {"state": "blocked", "dependencies": parents, "pending": parents, "load_dependencies": True}
        await self.write_new(task_id, task_type, None, **keys)
        for parent in parents:
            written = 0
            while not written:
                sequence, record = await self.record(parent)
                record["dependents"] = [*record.get("dependents", []), task_id]
                written = await self.store(f"{self.ns}.T.{parent}", record, expect=sequence)

    async def enqueue_once(self, task_id: str, task_type: str, key: str) -> None:
        """Enqueue a task whose key nobody holds."""
        whole = f"{task_type} {key}"
        written = await self.write_new(task_id, task_type, None, key=whole)
        digest = b32encode(hashlib.sha256(whole.encode()).digest()[:20]).decode().lower()
        entry = {"key": whole, "task": task_id, "mode": "unfinished"}
        assert await self.store(f"{self.ns}.K.{digest}", entry, expect=0)
        await self.make_runnable(*written)

    # worker

    async def serve(self) -> None:
        """Answer what other workers ask, and be present."""
        await self._client.subscribe(f"{self.ns}.C.{self.worker}", cb=self._answer)
        presence = {
            "worker": self.worker,
            "host": "h",
            "pid": 1,
            "version": "1",
            "started": now(),
            "queues": ["DEFAULT"],
        }
        presence |= {"patterns": ["*"], "slots": 1, "running": 0}
        await self.store(f"$KV.{self.ns}_WORKERS.{self.worker}", presence, Nats_TTL="5s")

    async def _answer(self, message: Msg) -> None:
        asked = json.loads(message.data)
        run = self.running.get(asked.get("task", ""))
        holds = run is not None and run["nonce"] == asked["nonce"]
        await message.respond(json.dumps({"worker": self.worker, "running": holds}).encode())

    async def pull(self) -> Msg:
        """Take one item."""
        inbox = self._client.new_inbox()
        waiting = await self._client.subscribe(inbox, max_msgs=1)
        ask = json.dumps({"batch": 1, "expires": 5_000_000_000}).encode()
        await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self.ns}_Q_DEFAULT.WORKERS", ask, reply=inbox)
        return await waiting.next_msg(5.0)

    async def claim(self, message: Msg) -> tuple[int, dict[str, Any]]:
        """Claim the runnable task of an item."""
        item = json.loads(message.data)
        sequence, record = (item["seq"], item["task"]) if "task" in item else await self.record(item["job"])
        run = {"worker": self.worker, "attempt": record.get("runs", 0) + 1, "nonce": secrets.token_hex(4)}
        claimed = {name: value for name, value in record.items() if name not in {"due", "last_err"}}
        claimed |= {"state": "active", "tried": now(), "tries": record["tries"] + 1, "runs": run["attempt"], "run": run}
        written = await self.store(f"{self.ns}.T.{record['id']}", claimed, expect=sequence)
        assert written
        self.running[record["id"]] = run
        return written, claimed

    async def finish(self, message: Msg, claim: tuple[int, dict[str, Any]], result: Any) -> None:
        sequence, record = claim
        done = record | {"state": "complete", "tried": now(), "result": {"payload": result, "completed": now()}}
        while not await self.store(f"{self.ns}.T.{record['id']}", done, expect=sequence, Nats_TTL="3600s"):
            sequence, found = await self.record(record["id"])
            assert found["run"] == record["run"]
            assert found["state"] == "active"
            done |= {name: value for name, value in found.items() if name not in done}
        del self.running[record["id"]]
        await message.respond(b"+ACK")

    async def fail(self, message: Msg, claim: tuple[int, dict[str, Any]], text: str, wait: float) -> None:
        sequence, record = claim
        error = {"type": "Oops", "message": text}
        retry = record | {"state": "retry", "tried": now(), "due": now(wait), "last_err": text, "error": error}
        sequence = await self.store(f"{self.ns}.T.{record['id']}", retry, expect=sequence)
        assert sequence
        del self.running[record["id"]]
        await self.make_runnable(sequence, retry)
        await message.respond(b"+ACK")

    # operator

    async def cancel(self, task_id: str) -> None:
        sequence, record = await self.record(task_id)
        ended = {name: value for name, value in record.items() if name not in {"due", "progress"}}
        ended |= {"state": "expired", "end": "cancelled", "last_err": "cancelled by hand"}
        assert await self.store(f"{self.ns}.T.{task_id}", ended, expect=sequence, Nats_TTL="3600s")
