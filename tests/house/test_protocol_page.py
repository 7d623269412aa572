"""The page of the protocol names every key that the code writes, and no other."""

import re
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import fields

from jetq.jetstream.janitor_mark import JanitorMark
from jetq.jetstream.presence import WorkerPresence
from jetq.jetstream.schedule_store import SchedulerMark
from jetq.model.record import TaskRecord
from jetq.model.state import End
from jetq.model.stored_schedule import ScheduleState, StoredSchedule
from jetq.model.unique import KeyEntry
from jetq.wire.codec import Item
from jetq.wire.control import ControlReply, ControlRequest
from jetq.wire.dependencies import Gift
from jetq.wire.events import TaskProgressEvent, TaskStateEvent

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
