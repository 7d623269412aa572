from datetime import UTC, datetime

import pytest
from msgspec import Raw

from jetq.model.events import TaskProgressed
from jetq.model.progress import make_progress
from jetq.model.record import ABSENT
from jetq.wire.events import TASK_PROGRESS, TaskProgressEvent, decode_event, encode_progress_event
from jetq.wire.progress import decode_progress, encode_progress

NOW = datetime(2026, 11, 24, 3, 0, 0, 5, tzinfo=UTC)


def test_progress_travels() -> None:
    said = make_progress(3, 10.5, "half \udcff", NOW)
    data = encode_progress(make_progress(3, 10.5, "half", NOW))

    assert bytes(data) == b'{"current":3,"total":10.5,"text":"half","at":"2026-11-24T03:00:00.000005Z"}'
    assert decode_progress(data) == make_progress(3, 10.5, "half", NOW)
    assert decode_progress(encode_progress(said)) is not None


@pytest.mark.parametrize("data", [b"", b"null", b"50", b'{"current":1}', b'{"current":"a"}', b"\xff"], ids=range(6))
def test_progress_of_another_program_is_none_of_ours(data: bytes) -> None:
    assert decode_progress(Raw(data)) is None


def test_no_progress_is_none() -> None:
    assert decode_progress(ABSENT) is None


def test_an_event_of_progress_says_whose_it_is() -> None:
    event = TaskProgressed(
        task_id="one", task_type="a:b", queue="Q", worker="w", attempt=2, progress=make_progress(1, None, "x", NOW)
    )

    read = decode_event(encode_progress_event(event))

    assert isinstance(read, TaskProgressEvent)
    assert (read.type, read.task_id, read.timestamp, read.current, read.total, read.text, read.attempt) == (
        TASK_PROGRESS,
        "one",
        NOW,
        1,
        None,
        "x",
        2,
    )
