"""``jetq tasks add --unique`` makes one task of a key."""

import pytest

from tests.acceptance.programs import Folder


def test_a_task_with_a_key_is_added_once(shop: Folder) -> None:
    first = shop.run("tasks", "add", "mail", '{"a": 1}', "--unique", "ann", "--delay", "1h")
    again = shop.run("tasks", "add", "mail", '{"a": 2}', "--unique", "ann")
    other = shop.run("tasks", "add", "mail", '{"a": 2}', "--unique", "bob")
    replaced = shop.run("tasks", "add", "mail", '{"a": 3}', "--unique", "ann", "--unique-mode", "replace", "--json")

    assert (first.status, first.err) == (0, "")
    assert (again.status, again.out) == (0, first.out)
    assert again.err == f"jetq: no new task: {first.out.strip()} has this key\n"
    assert other.out != first.out
    assert (replaced.json["id"], replaced.json["payload"]) == (first.out.strip(), {"a": 3})
    assert replaced.json["record"]["key"] == "mail ann"


def test_a_throttled_task_is_not_added_again_after_its_end(shop: Folder) -> None:
    first = shop.run("tasks", "add", "mail", "--unique", "ann", "--unique-period", "1h")
    shop.run("tasks", "cancel", first.out.strip(), "--force")
    again = shop.run("tasks", "add", "mail", "--unique", "ann", "--unique-period", "1h")

    assert again.out == first.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--unique-mode", "replace"], "--unique-mode is about unique tasks"),
        (["--unique-period", "1h"], "--unique-period is about unique tasks"),
        (["--unique", ""], "a text that is not empty"),
        (["--unique", "k" * 5000], "at most 4096 bytes"),
        (["--unique", "k", "--unique-mode", "once"], "one of unfinished, period, replace, latest"),
        (["--unique", "k", "--unique-mode", "period"], "needs one"),
        (["--unique", "k", "--unique-mode", "latest", "--delay", "1"], "absent with the unique mode 'latest'"),
        (["--unique", "k", "--unique-period", "soon"], "--unique-period"),
        (["--unique", "k", "--unique-period", "0.1"], "at least 1 s"),
    ],
    ids=range(9),
)
def test_what_cannot_be_meant_is_said_in_a_line(shop: Folder, words: list[str], says: str) -> None:
    ended = shop.run("tasks", "add", "mail", *words)

    assert ended.status == 2
    assert says in ended.err
    assert ended.err.count("\n") == 1
