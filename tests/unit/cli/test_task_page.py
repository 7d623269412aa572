from datetime import UTC, datetime

import pytest

from jetq.admin.inspector import TaskView
from jetq.cli.task_page import progress_line, view_fields
from jetq.model.progress import make_progress
from jetq.model.record import TaskRecord
from jetq.model.state import State
from jetq.wire.codec import new_document
from jetq.wire.progress import encode_progress

NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("current", "total", "text", "line"),
    [
        (3, None, "", "3, "),
        (1500, 6000, "mails", "1,500 of 6,000 (25%): mails, "),
        (0.5, 1.0, "", "0.5 of 1.0 (50%), "),
        (0, 0, "nothing to do", "0 of 0: nothing to do, "),
    ],
)
def test_progress_is_one_line(current: float, total: float | None, text: str, line: str) -> None:
    assert progress_line(make_progress(current, total, text, NOW)).startswith(f"{line}{NOW:%Y-%m-%d}")


def test_the_view_of_a_task_shows_its_progress_if_it_has_one() -> None:
    record = TaskRecord(
        id="one",
        type="x",
        state=State.ACTIVE,
        created=NOW,
        progress=encode_progress(make_progress(1, 2, "half", NOW)),
    )
    bare = TaskRecord(id="one", type="x", state=State.ACTIVE, created=NOW)

    def shown(record: TaskRecord) -> str:
        view = TaskView(document=new_document(record), sequence=1, written=NOW, size=10, places=())
        return dict(view_fields(view))["Progress"]

    assert shown(record).startswith("1 of 2 (50%): half, ")
    assert shown(bare) == ""


def test_the_view_of_a_task_shows_for_whom_it_waits_and_who_waits_for_it() -> None:
    record = TaskRecord(
        id="one",
        type="x",
        state=State.BLOCKED,
        created=NOW,
        dependencies=["A", "B"],
        pending=("B",),
        dependents=tuple(f"D{number}" for number in range(12)),
    )
    view = TaskView(document=new_document(record), sequence=1, written=NOW, size=10, places=())
    shown = dict(view_fields(view))

    assert (shown["Depends on"], shown["Waits for"]) == ("A, B", "B")
    assert shown["Dependents"] == "D0, D1, D2, D3, D4, D5, D6, D7, D8, D9 and 2 more"
