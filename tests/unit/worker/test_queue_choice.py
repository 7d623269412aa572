"""Which queues a worker serves, by name, weight, order and exclusion."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from jetq.errors import InvalidNameError, InvalidSettingError, JetqError
from jetq.model.sharing import Fair, Strict
from jetq.settings import Queue, WorkerSettings
from jetq.worker.queue_choice import QueueChoice

KNOWN = {name: Queue(name, max_tries=7) for name in ("A", "B", "C")}


def choice(queues: Sequence[str] | Mapping[str, int] = (), **settings: object) -> QueueChoice:
    return QueueChoice.of(queues, WorkerSettings(**settings))  # type: ignore[arg-type]  # the caller's


def test_all_known_queues_are_served_where_none_is_named() -> None:
    assert choice().served(KNOWN) == KNOWN


def test_named_queues_are_served_in_their_order_whoever_declared_them() -> None:
    served = choice({"X": 2, "B": 1}).served(KNOWN)

    assert list(served) == ["X", "B"]
    assert served["B"].max_tries == 7


def test_excluded_queues_are_not_served() -> None:
    assert list(choice(exclude=["B"]).served(KNOWN)) == ["A", "C"]
    assert list(choice(["A", "B"], exclude="B").served(KNOWN)) == ["A"]


def test_slots_are_shared_by_weight_or_given_in_order() -> None:
    fair, strict = choice({"A": 3, "B": 1}).sharing(["A", "B"], 4), choice(["A", "B"], strict=True).sharing("AB", 4)

    assert isinstance(fair, Fair)
    assert fair.share_out(4, [0, 0], [9, 9]) == [3, 1]
    assert isinstance(strict, Strict)


@pytest.mark.parametrize(
    ("choose", "error", "told"),
    [
        (lambda: choice({"A": 0}), InvalidSettingError, "the weight of A"),
        (lambda: choice({"A": 1001}), InvalidSettingError, "from 1 to 1000"),
        (lambda: choice({"A B": 1}), InvalidNameError, "A B"),
        (lambda: choice(strict=True), InvalidSettingError, "named in their order"),
        (lambda: choice({"A": 2}, strict=True), InvalidSettingError, "choose one"),
        (lambda: choice(exclude=["X"]).served(KNOWN), InvalidSettingError, "A, B, C"),
        (lambda: choice(["A"], exclude=["A"]).served(KNOWN), InvalidSettingError, "none is left"),
    ],
    ids=["weight_0", "weight_1001", "name", "strict_all", "strict_weights", "unknown_excluded", "all_excluded"],
)
def test_what_cannot_be_meant_is_refused(choose: Callable[[], object], error: type[JetqError], told: str) -> None:
    with pytest.raises(error, match=told):
        choose()
