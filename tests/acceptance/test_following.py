"""``jetq tasks watch`` and ``history``: what happens to tasks, while it happens and afterwards."""

import json
import re

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.programs import Folder

PROGRESS = """
from jetq import Context

@app.task("slow")
def slow(ctx: Context) -> None:
    ctx.progress(1, 4, "packing")
"""


def add(shop: Folder, *arguments: str) -> None:
    added = shop.run("tasks", "add", *arguments)
    assert added.status == 0, added.err


def keep_events(shop: Folder) -> None:
    shop.run("tasks", "initialize")
    configured = shop.run("tasks", "configure", "--events-kept", "7d", "--force")
    assert configured.status == 0, configured.err


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--queue", "SLOW"], ["two new"]),
        (["--type", "email:*"], ["one new", "two new"]),
        (["--state", "scheduled"], ["three scheduled"]),
        (["--state", "new,scheduled", "--queue", "DEFAULT"], ["one new", "three scheduled"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_only_what_is_asked_for_is_watched(filters: list[str], expected: list[str], start: Start, shop: Folder) -> None:
    watch = start(shop, "tasks", "watch", "--json", "--count", str(len(expected)), *filters)
    watch.await_line("Watching")

    add(shop, "email:a", "--id", "one")
    add(shop, "email:b", "--id", "two", "--queue", "SLOW")
    add(shop, "other", "--id", "three", "--delay", "1h")

    assert watch.await_end() == 0
    events = [json.loads(line) for line in watch.lines if line.startswith("{")]
    shown = [f"{event['task_id']} {'scheduled' if 'due' in event else event['state']}" for event in events]
    assert shown == expected


def test_progress_is_watched_where_it_is_asked_for(start: Start, shop: Folder) -> None:
    with (shop.path / "shop.py").open("a") as file:
        file.write(PROGRESS)
    plain = start(shop, "tasks", "watch", "--count", "3")
    full = start(shop, "tasks", "watch", "--progress", "--count", "4")
    for program in (plain, full):
        program.await_line("Watching")

    add(shop, "slow", "--id", "one")
    shop.run("worker", "shop", "--burst")

    assert (plain.await_end(), full.await_end()) == (0, 0)
    assert not [line for line in plain.lines if "packing" in line]
    [line] = [line for line in full.lines if "packing" in line]
    assert re.search(r" progress +one +slow +DEFAULT +1 of 4 25% packing$", line)


def test_the_history_of_a_task_is_shown_after_its_deletion(shop: Folder) -> None:
    keep_events(shop)
    add(shop, "fail", "--id", "one", "--max-tries", "1")
    shop.run("worker", "shop", "--burst")

    shown = shop.run("tasks", "history", "one")
    as_json = shop.run("tasks", "history", "one", "--json").json
    shop.run("tasks", "delete", "-f", "one")
    gone = shop.run("tasks", "history", "one")

    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert [row[1] for row in rows] == ["new", "active", "expired"]
    assert rows[2][-1] == "max_tries: ValueError: no luck"
    assert [event["state"] for event in as_json["events"]] == ["new", "active", "expired"]
    assert as_json["record"]["id"] == "one"
    assert (gone.status, gone.out) == (0, shown.out)
    assert "Its record is gone." in gone.err


def test_without_kept_events_the_record_is_shown_and_the_way_to_keep_them(shop: Folder) -> None:
    add(shop, "add", "--id", "one")

    shown = shop.run("tasks", "history", "one")
    as_json = shop.run("tasks", "history", "one", "--json")

    fields = dict(line.split("\t", 1) for line in shown.out.splitlines())
    assert (fields["State"], fields["Tries"]) == ("new", "0 of 10")
    assert shown.status == as_json.status == 1
    assert "jetq tasks configure --events-kept 7d" in shown.err
    assert (as_json.json["events"], as_json.json["record"]["state"]) == (None, "new")


def test_a_task_from_before_events_were_kept_has_its_record(shop: Folder) -> None:
    add(shop, "add", "--id", "one")
    keep_events(shop)

    shown = shop.run("tasks", "history", "one")

    assert shown.status == 0
    assert shown.out.startswith("State\tnew\n")
    assert "Nothing is kept of what happened to it; its record says:" in shown.err


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["history", "a.b"], 2, "'a.b' is not a legal task id"),
        (["history", "nothing"], 1, "there is no task nothing"),
        (["history"], 2, "Missing argument 'ID'"),
        (["watch", "--state", "done"], 2, "expected state to be one of active, blocked"),
        (["watch", "--queue", "a.b"], 2, "'a.b' is not a legal queue"),
        (["watch", "--type", ""], 2, "expected task_type to be a type, or absent"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence(arguments: list[str], status: int, sentence: str, shop: Folder) -> None:
    ended = shop.run("tasks", *arguments)

    assert (ended.status, ended.out) == (status, ""), ended.err
    assert sentence in ended.err
    assert "Traceback" not in ended.err
