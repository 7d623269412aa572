from datetime import UTC, datetime, timedelta

import pytest

from jetq.model.state import FINAL, End, State
from jetq.model.upkeep import Finding, Horizon, Need, end_of_missing, judge_missing, need_of

STARTED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LAST = STARTED - timedelta(minutes=10)
PATIENCE = timedelta(seconds=30)
HORIZON = Horizon(STARTED, LAST, PATIENCE)
FIRST = Horizon(STARTED, None, PATIENCE)

YOUNG = STARTED - timedelta(seconds=29)
UNSEEN = LAST - timedelta(seconds=30)
SEEN = LAST - timedelta(seconds=30, microseconds=1)
LATER, PUBLISH, REMEMBER, END = Finding.LATER, Finding.PUBLISH, Finding.REMEMBER, Finding.END


@pytest.mark.parametrize(
    ("state", "waits", "need"),
    [
        (State.NEW, False, Need.ITEM),
        (State.NEW, True, Need.SCHEDULE),
        (State.RETRY, False, Need.ITEM),
        (State.RETRY, True, Need.SCHEDULE),
        (State.UNKNOWN, False, Need.ITEM),
        (State.ACTIVE, False, Need.ITEM),
        (State.ACTIVE, True, Need.ITEM),
        (State.BLOCKED, False, Need.NOTHING),
        (State.QUEUE_ERROR, False, Need.NOTHING),
        *[(state, False, Need.NOTHING) for state in sorted(FINAL)],
    ],
    ids=str,
)
def test_what_a_state_asks_for(state: State, waits: bool, need: Need) -> None:
    assert need_of(state, waits=waits) is need


@pytest.mark.parametrize(
    ("written", "may_publish", "missed_before", "finding"),
    [
        (YOUNG, True, False, LATER),
        (YOUNG, True, True, LATER),
        (STARTED - PATIENCE, True, False, PUBLISH),
        (UNSEEN, True, False, PUBLISH),
        (UNSEEN, False, False, LATER),
        (UNSEEN, False, True, LATER),
        (SEEN, True, False, REMEMBER),
        (SEEN, False, False, REMEMBER),
        (SEEN, True, True, END),
        (SEEN, False, True, END),
    ],
)
def test_a_record_without_what_it_asks_for_is_judged_by_its_age(
    written: datetime, may_publish: bool, missed_before: bool, finding: Finding
) -> None:
    assert judge_missing(State.NEW, written, HORIZON, may_publish=may_publish, missed_before=missed_before) is finding


@pytest.mark.parametrize("written", [UNSEEN, SEEN], ids=["unseen", "seen"])
@pytest.mark.parametrize("missed_before", [False, True])
def test_an_active_record_never_ends(written: datetime, missed_before: bool) -> None:
    for may_publish, finding in ((True, PUBLISH), (False, LATER)):
        assert (
            judge_missing(State.ACTIVE, written, HORIZON, may_publish=may_publish, missed_before=missed_before)
            is finding
        )


def test_without_a_pass_before_nothing_ends() -> None:
    for written in (UNSEEN, SEEN, STARTED - timedelta(days=999)):
        assert judge_missing(State.RETRY, written, FIRST, may_publish=True, missed_before=True) is PUBLISH
        assert judge_missing(State.RETRY, written, FIRST, may_publish=False, missed_before=True) is LATER


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_record_lacks_nothing(state: State) -> None:
    assert judge_missing(state, SEEN, HORIZON, may_publish=True, missed_before=True) is LATER


def test_how_a_task_without_item_ends() -> None:
    assert end_of_missing(discards_old=True) is End.DROPPED
    assert end_of_missing(discards_old=False) is End.PURGED
