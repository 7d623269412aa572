"""``jetq explain``."""

import pytest

from tests.acceptance.programs import Folder


def test_a_task_that_waits_for_a_worker_is_explained(shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--id", "T1")

    told = shop.run("explain", "T1")
    found = shop.run("explain", "T1", "--json").json

    assert told.status == 0, told.err
    assert told.out.splitlines()[:4] == ["Task\tT1", "Type\tadd", "Queue\tDEFAULT", "State\tnew"]
    assert told.out.splitlines()[5:] == ["No worker lives in this namespace. jetq worker MODULE:APP starts one."]
    assert (found["state"], [reason["cause"] for reason in found["reasons"]]) == ("new", ["no_worker"])


@pytest.mark.parametrize("option", [[], ["--json"]], ids=["text", "json"])
def test_a_task_that_does_not_exist_is_explained_with_a_status(option: list[str], shop: Folder) -> None:
    told = shop.run("explain", "T9", *option)

    assert told.status == 1
    assert "There is no such task" in told.out
