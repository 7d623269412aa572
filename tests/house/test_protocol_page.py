"""The page of the protocol names every key that the code writes, and no other; its examples are what it says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace

from jetq.execution.command import TASK_VARIABLES
from jetq.execution.handing_on import foreign_result
from jetq.jetstream.blueprint import Plan, queue_consumer, queue_stream, shared_streams, task_store
from jetq.jetstream.janitor_mark import JanitorMark
from jetq.jetstream.presence import WorkerPresence
from jetq.jetstream.schedule_store import SchedulerMark
from jetq.model.record import TaskRecord
from jetq.model.retry import NAMED, Exponential, Fixed, Linear, Steps
from jetq.model.state import FINAL, RUNNABLE, End, State
from jetq.model.stored_schedule import ScheduleState, StoredSchedule
from jetq.model.unique import KeyEntry, UniqueMode
from jetq.routing.values import encode_value
from jetq.settings import Queue, StoreSettings
from jetq.wire import names as spelled, remote
from jetq.wire.codec import Item, decode_item, decode_record
from jetq.wire.control import ControlReply, ControlRequest
from jetq.wire.dependencies import Gift
from jetq.wire.events import TaskProgressEvent, TaskStateEvent
from jetq.wire.flows import FlowDocument
from jetq.wire.keys import key_digest
from jetq.wire.names import Names
from jetq.wire.signature import Signer, Verifier, signed_text

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "protocol.md"
KEY = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("title", "structs"),
    [
        ("Task record", [TaskRecord]),
        ("Item", [Item]),
        ("Unique key", [KeyEntry]),
        ("Dependencies", [Gift]),
        ("Flow", [FlowDocument]),
        ("Progress", [TaskProgressEvent]),
        ("Lifecycle event", [TaskStateEvent]),
        ("Presence of a worker", [WorkerPresence]),
        ("The janitor's last pass", [JanitorMark]),
        ("Schedule", [StoredSchedule]),
        ("State of a schedule", [ScheduleState]),
        ("The last scheduler's leadership", [SchedulerMark]),
        ("Control of a worker", [ControlRequest, ControlReply]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_names_the_keys(title: str, structs: list[type[Struct]]) -> None:
    written = [field.encode_name for struct in structs for field in fields(struct)]

    assert KEY.findall(section(title)) == written


def test_the_page_names_every_reason_of_an_end() -> None:
    assert [end.value for end in End if f"`{end.value}`" not in section("Task record")] == []


def examples(title: str = "") -> list[Any]:
    text = section(title) if title else PAGE.read_text(encoding="utf-8")
    return [json.loads(found) for found in re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def test_every_example_of_a_record_is_one() -> None:
    records = [each for each in examples() if "job" not in each]

    assert len(records) == 3
    for each in records:
        record = decode_record(json.dumps(each).encode()).record
        assert (record.id, record.state) == (each["id"], each["state"])


def test_the_example_of_an_item_is_one() -> None:
    (example,) = examples("Item")
    item = decode_item(json.dumps(example).encode())

    assert (item.job, item.seq) == (example["job"], example["seq"])
    assert decode_record(item.task).record.id == item.job


def test_the_example_of_a_signature_can_be_computed() -> None:
    text = section("Task record")
    document = decode_record(json.dumps(examples("Task record")[-1]).encode())
    seed, key = (bytes.fromhex(found) for found in re.findall(r"`([0-9a-f]{64})`", text))
    unsigned = document.updated(replace(document.record, signature=""))

    assert f"```text\n{signed_text(unsigned).decode()}\n```" in text
    signer = Signer(seed)
    assert (signer.public_key, signer.sign(unsigned)) == (key.hex(), document.record.signature)
    assert Verifier([key]).check(document) is None


def test_the_example_of_a_key_can_be_computed() -> None:
    found = re.search(r"`(?P<key>[^`]+)` lives on `NS\.K\.(?P<digest>\w+)`", section("Unique key"))

    assert found is not None
    assert key_digest(found["key"]) == found["digest"]


def rows(title: str, columns: int) -> list[list[str]]:
    lines = [line.strip().strip("|").split(" | ") for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines if len(line) == columns]


def test_the_page_says_of_each_state_whether_it_is_final_or_runnable() -> None:
    told = {cells[0].strip("`"): cells[2] for cells in rows("Ten states", 3)[2:]}

    for state in State:
        said = told[state.value or "empty"]
        assert said.startswith("final") == (state in FINAL), state
        assert said.startswith("runnable") == (state in RUNNABLE), state
    assert len(told) == len(State)


def planned() -> list[Plan]:
    names, settings = Names("NS"), StoreSettings()
    shared = shared_streams(names, "file", 1)
    return [task_store(names, settings), queue_stream(names, Queue("<queue>"[1:-1]), settings), *shared]


@pytest.mark.parametrize("plan", planned(), ids=lambda plan: plan.name)
def test_the_page_names_every_stream_with_what_it_is_made_of(plan: Plan) -> None:
    name = plan.name.removeprefix("KV_").replace("Q_queue", "Q_<queue>")
    (line,) = [line for line in section("Streams and buckets").splitlines() if re.match(rf"\|[\w ]*`{name}`", line)]
    if plan.name.startswith("KV_"):
        assert "history 1" in line
    else:
        for subject in plan.config["subjects"]:
            assert f"`{subject.replace('queue', '<queue>')}`" in line
        assert {"limits": "limits retention", "workqueue": "work-queue retention"}[plan.config["retention"]] in line
    for field in ("allow_msg_ttl", "allow_msg_schedules"):
        assert (field in line) == bool(plan.config.get(field))


def test_the_page_names_what_a_consumer_has() -> None:
    text = section("Streams and buckets")
    consumer = queue_consumer(Names("NS"), Queue("Q"))

    for name in ("deliver_policy", "max_ack_pending", "max_waiting", "ack_wait", "max_deliver", *consumer["metadata"]):
        assert f"`{name}`" in text, name
    assert f"{consumer['max_waiting']:,}" in text


def test_the_page_names_every_header() -> None:
    headers = {
        value for name, value in vars(spelled).items() if name.isupper() and str(value).startswith(("Nats-", "KV-"))
    }
    headers |= {remote.CONTENT_TYPE, remote.TASK_TYPE, remote.DEADLINE, remote.ERROR, remote.TERMINATE, remote.OUTCOME}

    text = PAGE.read_text(encoding="utf-8")
    assert [each for each in headers - {spelled.STATUS_PENDING} if f"`{each}" not in text] == []
    assert [each for each in TASK_VARIABLES if f"`{each}`" not in section("Command handlers")] == []


def test_the_page_names_every_mode_of_a_key_and_every_word_of_control() -> None:
    assert [mode for mode in UniqueMode if f"`{mode}`" not in section("Unique key")] == []
    operations = ControlRequest.__annotations__["op"].__args__
    assert [op for op in operations if f"`{op}`" not in section("Control of a worker")] == []


@pytest.mark.parametrize(
    ("kind", "policy", "settings"),
    [
        ("exponential", Exponential(first=3, max=50, factor=4, jitter=0.5), {"first": 3, "max": 50, "factor": 4}),
        ("linear", Linear(first=3, step=2, max=8, jitter=0.5), {"first": 3, "step": 2, "max": 8}),
        ("fixed", Fixed(7, jitter=0.5), {"seconds": 7}),
        ("steps", Steps((1, 2, 30), jitter=0.5), {}),
        ("steps", NAMED["10m"], {}),
    ],
    ids=["exponential", "linear", "fixed", "steps", "10m"],
)
def test_the_formula_of_a_wait_is_the_code_s(kind: str, policy: Any, settings: dict[str, float]) -> None:
    (spelling,) = [
        cells[1] for cells in rows("Retry policy of a task", 2) if cells[0] == f"`{kind}`" and "*r*" in cells[1]
    ]
    formula = spelling.partition(",  where")[0].partition(", where")[0]
    formula = re.sub(r"[`*]", "", formula.replace("^", "**POWER**")).replace("POWER", "**").replace("·", "*")
    for n in (1, 2, 3, 40):
        values: dict[str, Any] = {"n": n, "r": 0.25, "min": min, "jitter": policy.jitter, **settings}
        if isinstance(policy, Steps):
            values["i"] = policy.intervals[min(n, len(policy.intervals) - 1)]
        assert policy.delay(n, 0.25) == pytest.approx(eval(formula, {}, values), abs=0.001)  # noqa: S307 - our own page


@pytest.mark.parametrize(
    ("data", "result"), [(b'{"a":1}', {"a": 1}), (b"hi", "hi"), (b"\xff\x01", "/wE="), (b"", None)], ids=str
)
def test_what_an_answer_means_is_as_the_page_says(data: bytes, result: object) -> None:
    words = "JSON as its value, other text as a string, what is no UTF-8 in base64, nothing as null"

    assert words in section("Remote handlers")
    assert json.loads(encode_value(foreign_result(data))) == result


def test_links_within_the_page_lead_to_its_headings() -> None:
    text = PAGE.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    }

    assert [link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in anchors] == []
