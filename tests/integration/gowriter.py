"""
Writing records as a Go program does: its own keys alone, in its order; what jetq added is gone.

`tests/golden/go` writes the files that this is compared with.
"""

import json
from typing import Any

from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication, expecting
from jetq.jetstream.stream_message import last_message

KEYS = (
    *("id", "type", "queue", "dependencies", "dependency_results", "load_dependencies", "payload", "deadline"),
    *("max_tries", "result", "state", "created", "tried", "tries", "last_err", "signature"),
)
NOW = "2026-11-24T03:00:05.000001Z"


def as_go(data: bytes, **changes: Any) -> bytes:
    """Return a record as Go writes it back with changes; None takes a key away."""
    known = json.loads(data) | changes
    kept = {key: known[key] for key in KEYS if key in known and (known[key] is not None or key == "payload")}
    text = json.dumps(kept, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


async def write_as_go(backend: Backend, task_id: str, **changes: Any) -> None:
    """Read a record and write it back."""
    subject = backend.names.record(task_id)
    found = await last_message(backend.connection, backend.names.tasks, subject)
    assert found is not None
    await backend.publisher.publish(Publication(subject, as_go(found.data, **changes), expecting(found.seq)))


async def claim(backend: Backend, task_id: str) -> None:
    """Write that a handler begins; Go counts the try when it has ended."""
    await write_as_go(backend, task_id, state="active", tried=NOW, last_err=None, result=None)


async def succeed(backend: Backend, task_id: str, result: Any) -> None:
    """Write that the handler returned."""
    done = {"payload": result, "completed": NOW}
    await write_as_go(backend, task_id, state="complete", tried=NOW, tries=1, result=done, last_err=None)


async def terminate(backend: Backend, task_id: str) -> None:
    """Write that the handler wants no more tries."""
    await write_as_go(backend, task_id, state="terminated", tried=NOW, tries=1, last_err="terminated by Go")
