from typing import Any

import pytest

from jetq.app.application import App
from jetq.app.dependency import Dependency, edges, parents_shape
from jetq.errors import InvalidNameError, InvalidSettingError
from jetq.model.dependency import Edge, OnFailure
from jetq.model.flow import Shape

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


def test_what_is_said_for_all_counts_where_nothing_else_is_said() -> None:
    found = edges(["A", Dependency("B"), Dependency("C", "run")], on_failure="ignore")

    assert found == (Edge("A", OnFailure.IGNORE), Edge("B", OnFailure.FAIL), Edge("C", OnFailure.RUN))


@pytest.mark.parametrize(
    ("given", "shape"),
    [("A", 0), (HANDLE, 0), (Dependency("A"), 0), (["A"], (0,)), (["A", HANDLE, "A"], (0, 1, 0)), ([], ())],
    ids=range(6),
)
def test_one_gives_its_result_and_a_list_gives_a_list(given: Any, shape: Shape) -> None:
    assert parents_shape(given) == shape
