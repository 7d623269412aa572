from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.dependency import Dependency, edges
from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.dependency import Edge, OnFailure

HANDLE = App("x").handle("H")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ()),
        ("A", (Edge("A"),)),
        (HANDLE, (Edge("H"),)),
        (["A", HANDLE], (Edge("A"), Edge("H"))),
        ({"A"}, (Edge("A"),)),
        (Dependency(HANDLE, "run"), (Edge("H", OnFailure.RUN),)),
        (["A", "B", Dependency("A", on_failure="ignore")], (Edge("A", OnFailure.IGNORE), Edge("B"))),
    ],
    ids=range(7),
)
def test_ids_and_handles_become_edges_each_once(given: Any, found: tuple[Edge, ...]) -> None:
    assert edges(given) == found


@pytest.mark.parametrize("given", [7, [7], [None], b"A", iter(["A"])], ids=range(5))
def test_what_is_no_task_is_refused(given: Any) -> None:
    with pytest.raises(InvalidSettingError, match="depends_on"):
        edges(given)


def test_no_task_depends_on_itself() -> None:
    with pytest.raises(InvalidSettingError, match="cannot depend on itself"):
        edges(["A"], "A")


def test_an_id_that_no_task_can_have_is_refused() -> None:
    with pytest.raises(InvalidNameError):
        Dependency("a b")
