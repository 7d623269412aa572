"""
What jetq writes, as asyncjobs reads it.

The programs in tests/golden/go are built for this module.
"""

import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jetq.model.events import TaskStateChanged
from jetq.model.outcome import Cancelled, Failed, Outcome, Succeeded, Terminated
from jetq.model.record import CancelRequest, ErrorInfo, Run, StoredOptions, TaskRecord
from jetq.model.retry import Fixed
from jetq.model.schedule import parse_schedule
from jetq.model.state import State
from jetq.model.stored_schedule import Misfire, StoredSchedule, code_origin, schedule_deadline
from jetq.model.transition import claimed, closed
from jetq.model.verdict import Rules, judge
from jetq.wire.codec import Document, encode_item, new_document
from jetq.wire.events import encode_task_event
from jetq.wire.ids import new_id
from jetq.wire.schedules import new_schedule_document
from jetq.wire.signature import Signer, Verifier
from tests.golang import BUILD_TIMEOUT, build
from tests.golden.files import FOLDER, GO_MODULE, SIGNING_SEED, every_record

pytestmark = pytest.mark.timeout(BUILD_TIMEOUT)

CREATED = datetime(2026, 11, 24, 3, 0, 0, 123450, UTC)
NOW = CREATED + timedelta(seconds=5)
RULES = Rules(retry=Fixed(60), max_tries=3)
ZERO = "0001-01-01T00:00:00Z"
Reader = Callable[[str, bytes], Any]


def built(program: str, target: Path) -> Path:
    """Build a program of the module."""
    build(GO_MODULE, target, f"./{program}")
    return target / program


@pytest.fixture(scope="module")
def go_reads(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    program = built("read", tmp_path_factory.mktemp("go"))

    def read(kind: str, data: bytes) -> Any:
        line = kind.encode() + b" " + data + b"\n"
        answer = subprocess.run([program], input=line, capture_output=True, check=True)
        return json.loads(answer.stdout)

    return read


def new(**fields: Any) -> TaskRecord:
    known: dict[str, Any] = {
        "type": "email:new",
        "queue": "EMAIL",
        "payload": b'{"to":"a@b.c"}',
        "max_tries": 10,
        "state": State.NEW,
        "created": CREATED,
        "nonce": "1234abcd",
    }
    return TaskRecord(id=new_id(), **(known | fields))


def active(**fields: Any) -> TaskRecord:
    return claimed(new(**fields), Run("01WORKER", 1, "cafe"), NOW)


def ended(outcome: Outcome, **fields: Any) -> TaskRecord:
    record = active(**fields)
    return closed(record, judge(outcome, record, RULES, now=NOW, chance=0.0), NOW)


def test_a_new_task(go_reads: Reader) -> None:
    record = new(deadline=CREATED + timedelta(hours=1), options=StoredOptions(timeout=30), due=NOW)

    assert go_reads("task", new_document(record).encode()) == {
        "id": record.id,
        "type": "email:new",
        "queue": "EMAIL",
        "payload": "eyJ0byI6ImFAYi5jIn0=",
        "deadline": "2026-11-24T04:00:00.12345Z",
        "max_tries": 10,
        "state": "new",
        "created": "2026-11-24T03:00:00.12345Z",
        "tries": 0,
    }


def test_a_task_without_payload(go_reads: Reader) -> None:
    assert go_reads("task", new_document(new(payload=None)).encode())["payload"] is None


def test_an_active_task_with_its_run(go_reads: Reader) -> None:
    read = go_reads("task", new_document(active()).encode())

    assert (read["state"], read["tries"], read["tried"]) == ("active", 1, "2026-11-24T03:00:05.12345Z")
    assert "result" not in read


def test_a_complete_task(go_reads: Reader) -> None:
    read = go_reads("task", new_document(ended(Succeeded(b'{"sent":[1,"\xc3\xa9"]}'))).encode())

    assert (read["state"], "last_err" in read) == ("complete", False)
    assert read["result"] == {"payload": {"sent": [1, "é"]}, "completed": "2026-11-24T03:00:05.12345Z"}


def test_a_cancelled_task_is_expired(go_reads: Reader) -> None:
    record = ended(Cancelled("me"), cancel_requested=CancelRequest("me", NOW))
    read = go_reads("task", new_document(record).encode())

    assert (record.display_state, read["state"], read["last_err"]) == ("cancelled", "expired", "cancelled by me")


@pytest.mark.parametrize("text", ["<&> \u2028 😀", "a file \udcff of no Unicode", "\x00\x1f\x7f"])
def test_a_task_that_waits_for_its_retry(go_reads: Reader, text: str) -> None:
    record = ended(Failed(ErrorInfo("OSError", text, "Traceback ...")))
    read = go_reads("task", new_document(record).encode())

    assert (read["state"], read["tries"]) == ("retry", 1)
    assert read["last_err"] == f"OSError: {text}".encode("utf-8", "backslashreplace").decode()


def test_a_terminated_task(go_reads: Reader) -> None:
    read = go_reads("task", new_document(ended(Terminated("no use"))).encode())

    assert (read["state"], read["last_err"]) == ("terminated", "no use")


def test_a_task_with_results_of_others(go_reads: Reader) -> None:
    data = every_record()["unblocked"]

    assert go_reads("task", data) == json.loads(data)


def test_the_largest_numbers(go_reads: Reader) -> None:
    record = replace(new(max_tries=2**63 - 1), tries=2**53, crashes=2**53)
    read = go_reads("task", new_document(record).encode())

    assert (read["max_tries"], read["tries"]) == (2**63 - 1, 2**53)


def test_an_item(go_reads: Reader) -> None:
    record = new()
    item = encode_item(record.id, 12, new_document(record).encode())

    assert go_reads("item", item) == {"kind": 0, "job": record.id}


def test_a_state_change(go_reads: Reader) -> None:
    event = TaskStateChanged(
        task_id="A1",
        task_type="email:new",
        queue="EMAIL",
        state=State.RETRY,
        tries=2,
        created=CREATED,
        at=NOW,
        last_err="no <luck>",
    )
    read = go_reads("event", encode_task_event(event))

    assert len(read.pop("event_id")) == 26
    assert read == {
        "type": "io.choria.asyncjobs.v1.task_state",
        "timestamp": "2026-11-24T03:00:05.12345Z",
        "task_id": "A1",
        "state": "retry",
        "tries": 2,
        "queue": "EMAIL",
        "task_type": "email:new",
        "last_error": "no <luck>",
        "task_age": 5_000_000_000,
    }


def test_the_reader_tells_what_go_cannot_read(go_reads: Reader) -> None:
    assert "error" in go_reads("task", b'{"id":1}')
    assert go_reads("task", b"{}")["created"] == ZERO


SIGNER = Signer(SIGNING_SEED)
SIGNED = {
    "plain": new(),
    "no-payload": new(payload=None),
    "empty-payload": new(payload=b""),
    "bytes": new(payload=bytes(range(256))),
    "unlimited": new(max_tries=0),
    "deadline": new(deadline=CREATED + timedelta(hours=1)),
    "deadline-of-whole-seconds": new(deadline=datetime(2026, 11, 24, 4, 0, tzinfo=UTC)),
    "deadline-in-a-zone": new(deadline=CREATED.astimezone(timezone(timedelta(hours=5, minutes=45)))),
    "waiting": new(due=NOW, options=StoredOptions(timeout=30)),
    "own-id": replace(new(), id="shop:order:1"),
    "active": active(),
    "complete": ended(Succeeded(b"1")),
}


@pytest.fixture(scope="module")
def go_verifies(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    program = built("verify", tmp_path_factory.mktemp("go"))

    def verify(*documents: Document, kind: str = "required") -> list[str]:
        lines = b"".join(document.encode() + b"\n" for document in documents)
        command = [program, SIGNER.public_key, kind]
        return subprocess.run(command, input=lines, capture_output=True, check=True).stdout.decode().splitlines()

    return verify


def test_what_jetq_signs_go_verifies(go_verifies: Callable[..., list[str]]) -> None:
    documents = [SIGNER.signed(new_document(record)) for record in SIGNED.values()]

    assert dict(zip(SIGNED, go_verifies(*documents), strict=True)) == dict.fromkeys(SIGNED, "ok")


def test_go_and_jetq_refuse_the_same(go_verifies: Callable[..., list[str]]) -> None:
    signed = SIGNER.signed(new_document(new()))
    other = Signer(b"b" * 32).signed(new_document(new()))
    unsigned = new_document(new())
    changed = SIGNER.signed(new_document(new()))
    changed = changed.updated(replace(changed.record, max_tries=11))
    documents, key = (signed, other, unsigned, changed), bytes.fromhex(SIGNER.public_key)

    for kind in ("required", "optional"):
        verifier = Verifier([key], optional=kind == "optional")
        ours = [verifier.check(document) is None for document in documents]
        assert [line == "ok" for line in go_verifies(*documents, kind=kind)] == ours
        assert ours == [True, False, kind == "optional", False]


@pytest.mark.nightly
def test_go_writes_the_golden_files_as_they_stand(tmp_path: Path) -> None:
    subprocess.run([built("write", tmp_path), tmp_path / "written"], check=True, timeout=120)

    for kind in ("records", "items", "events", "schedules"):
        written = {path.name: path.read_bytes() for path in (tmp_path / "written" / kind).iterdir()}
        assert written == {path.name: path.read_bytes() for path in (FOLDER / kind).iterdir()}
    assert (tmp_path / "written" / "retry_policies.json").read_text() == (FOLDER / "retry_policies.json").read_text()


@pytest.mark.parametrize(
    ("spec", "zone", "stored"),
    [
        ("0 3 * * *", "Europe/Malta", "CRON_TZ=Europe/Malta 0 3 * * *"),
        ("daily", None, "@daily"),
        (timedelta(minutes=90), None, "@every 1h30m"),
        ("*/15 8-17 ? jan-jun mon,WED", None, "*/15 8-17 ? jan-jun mon,WED"),
    ],
    ids=str,
)
def test_a_schedule(go_reads: Reader, spec: Any, zone: str | None, stored: str) -> None:
    record = StoredSchedule(
        name="nightly",
        schedule=parse_schedule(spec, zone).spec,
        queue="EMAIL",
        task_type="email:new",
        payload=b'{"to":"a@b.c"}',
        deadline=schedule_deadline(90),
        max_tries=4,
        created_at=CREATED,
        origin=code_origin("shop"),
        misfire=Misfire.ALL,
        paused=True,
        start=NOW,
        options=StoredOptions(timeout=30),
    )

    assert go_reads("schedule", new_schedule_document(record).encode()) == {
        "name": "nightly",
        "schedule": stored,
        "queue": "EMAIL",
        "task_type": "email:new",
        "payload": "eyJ0byI6ImFAYi5jIn0=",
        "deadline": 90_000_000_000,
        "max_tries": 4,
        "created_at": "2026-11-24T03:00:00.12345Z",
    }


@pytest.mark.parametrize("spec", ["30 0 3 * * *", "0 0 L * *", "@at 2026-11-24T03:00:00Z"])
def test_what_go_cannot_run_is_refused_by_it(go_reads: Reader, spec: str) -> None:
    record = StoredSchedule(name="a", schedule=spec, queue="Q", task_type="t", created_at=CREATED)
    assert "error" in go_reads("schedule", new_schedule_document(record).encode())
