"""What people see at a terminal: it fits, keeps what they copy, and asks before it destroys."""

import asyncio
import contextlib
import os
import re
import sys

import pytest

from jetq.app.application import App
from jetq.jetstream.server import EmbeddedServer
from jetq.settings import Queue, WorkerSettings
from jetq.worker.worker import Worker
from tests.acceptance.programs import PATIENCE, Folder

if sys.platform == "win32":
    pytest.skip("needs pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import struct
import termios
from concurrent.futures import ThreadPoolExecutor

pytestmark = pytest.mark.timeout(120)  # a dozen programs start, on whatever machine

COLOR = re.compile(r"\x1b\[[0-9;]*m")
LONG_TYPE = "a:rather-long:task-type:that-nobody:would-like-to-type:every-day"
LONG_QUEUE = "A_QUEUE_WITH_A_LONG_NAME:priority"


def at_terminal(shop: Folder, *arguments: str, width: int = 80, answer: str = "") -> tuple[int, str]:
    """Run ``jetq`` at a terminal; return its exit status and what it showed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = shop.environment | {"TERM": "xterm"}
    assert shop.warm is not None
    with ThreadPoolExecutor(1) as running:
        status = running.submit(shop.warm.run, arguments, shop.path, environment, [theirs] * 3, PATIENCE)
        status.add_done_callback(lambda _: os.close(theirs))
        os.write(ours, answer.encode())
        shown = b""
        with contextlib.suppress(OSError):  # the end, on Linux
            while part := os.read(ours, 65536):
                shown += part
    os.close(ours)
    return status.result(), shown.decode().replace("\r\n", "\n")


@pytest.fixture
def busy(shop: Folder, server: EmbeddedServer, namespace: str) -> Folder:
    """Give a namespace with tasks of many states and long names."""
    asyncio.run(fill(server, namespace))
    return shop


async def fill(server: EmbeddedServer, namespace: str) -> None:
    app = App("shop", namespace=namespace, queues=[Queue("DEFAULT", lease=2), Queue("SLOW", lease=2)])
    app.connect_to(server.address)

    @app.task("add")
    async def add(a: int, b: int) -> int:
        return a + b

    @app.task("fail", max_tries=1)
    async def fail() -> None:
        raise ValueError("no luck")

    async with app:
        await app.aenqueue(LONG_TYPE, queue=LONG_QUEUE, id="01M862K32HATKHJDHWMCRQH0XR")
        await app.aenqueue("add", {"a": 1, "b": 2}, id="01M862K1ZKB3T0NSJM389MMP6C")
        await app.aenqueue("fail", id="01M862K2DK7G4P1W1QCVW8XPN3")
        await Worker(app, queues=["DEFAULT"], settings=WorkerSettings(burst=True)).run()
        await app.aenqueue("add", delay=3600, id="01M862K3TX28SZC5EXX2D2JPFC")


SCREENS = [
    ("tasks", "list"),
    ("queues", "list"),
    ("queues", "info", LONG_QUEUE),
    ("tasks", "view", "01M862K3TX28SZC5EXX2D2JPFC"),
    ("queues", "pause", LONG_QUEUE, "--for", "1h"),
    ("queues", "list"),
    ("info",),
    ("workers", "list"),
    ("explain", "01M862K32HATKHJDHWMCRQH0XR"),
    ("explain", "01M862K2DK7G4P1W1QCVW8XPN3"),
    ("tasks", "retry", "--all", "--dry-run"),
    ("tasks", "retry", "--type", "a:*", "--yes"),
    ("tasks", "configure", "--retention", "48h"),
]
WIDTHS = pytest.mark.parametrize("width", [80, pytest.param(140, marks=pytest.mark.nightly)])
"""The narrow one is what breaks a screen."""


@WIDTHS
def test_every_screen_fits(width: int, busy: Folder) -> None:
    for arguments in SCREENS:
        status, shown = at_terminal(busy, *arguments, width=width)

        lines = COLOR.sub("", shown).splitlines()
        assert status == 0, shown
        assert max(map(len, lines)) <= width, shown


@pytest.mark.parametrize("width", [80, 140])
def test_a_list_of_tasks_keeps_ids_and_states_whole(width: int, busy: Folder) -> None:
    _, shown = at_terminal(busy, "tasks", "list", width=width)

    heading, *rows = [line.split() for line in COLOR.sub("", shown).splitlines()]
    assert heading[:6] == ["ID", "TYPE", "QUEUE", "STATE", "TRIES", "AGE"]
    assert {(row[0], row[3]) for row in rows} == {
        ("01M862K32HATKHJDHWMCRQH0XR", "new"),
        ("01M862K1ZKB3T0NSJM389MMP6C", "complete"),
        ("01M862K2DK7G4P1W1QCVW8XPN3", "expired"),
        ("01M862K3TX28SZC5EXX2D2JPFC", "scheduled"),
    }
    assert ("ValueError: no luck" in shown) == (width == 140)


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("worker",),
        ("dev",),
        ("tasks",),
        ("tasks", "add"),
        ("queues", "configure"),
        ("queues", "pause"),
        ("explain",),
        ("workers", "stop"),
    ],
)
def test_help_fits(command: tuple[str, ...], shop: Folder) -> None:
    status, shown = at_terminal(shop, *command, "--help")

    assert status == 0
    assert max(map(len, COLOR.sub("", shown).splitlines())) <= 80


@pytest.mark.parametrize("verb", ["list", "cancel", "retry", "run-now", "change", "delete", "purge", "configure"])
def test_help_of_operations_fits_and_nothing_of_it_is_cut(verb: str, shop: Folder) -> None:
    status, shown = at_terminal(shop, "tasks", verb, "--help")

    assert status == 0
    assert max(map(len, COLOR.sub("", shown).splitlines())) <= 80
    assert "..." not in shown.replace("[ID]...", "")


@pytest.mark.parametrize("group", ["", "tasks", "queues", "workers", "keys", "cron", "beat", "flow", "server"])
def test_the_list_of_verbs_is_not_cut(group: str, shop: Folder) -> None:
    _, shown = at_terminal(shop, *filter(None, [group]), "--help")

    assert "..." not in shown.replace("[ARGS]...", "")
    assert "Commands:" in shown


@pytest.mark.parametrize("width", [80, 140])
def test_refusals_are_a_table_of_reasons(width: int, busy: Folder) -> None:
    status, shown = at_terminal(busy, "tasks", "run-now", "--all", "--yes", width=width)

    lines = COLOR.sub("", shown).splitlines()
    assert status == 1
    assert max(map(len, lines)) <= width, shown
    assert lines[0] == "  Found  4 tasks (1 new, 1 complete, 1 expired, 1 scheduled)"
    assert sorted(line.split()[:2] for line in lines[5:]) == [["1", "complete:"], ["1", "expired:"], ["1", "new:"]]
    assert ("01M862K1ZKB3T0NSJM389MMP6C" in shown) == (width == 140)


@pytest.mark.parametrize(("answer", "left"), [("y\n", "retry"), ("n\n", "expired")])
def test_a_person_is_asked_with_the_count_before_many_tasks_change(answer: str, left: str, busy: Folder) -> None:
    _, shown = at_terminal(busy, "tasks", "retry", "--state", "expired", answer=answer)

    assert "Retry 1 task (1 expired)? [y/N]" in shown
    assert busy.run("tasks", "view", "01M862K2DK7G4P1W1QCVW8XPN3", "--json").json["state"] == left


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 4)])
def test_a_person_is_asked_before_all_tasks_are_removed(answer: str, left: int, busy: Folder) -> None:
    _, shown = at_terminal(busy, "tasks", "purge", answer=answer)

    assert "Remove 4 tasks of " in shown
    assert len(busy.run("tasks", "list", "--json").json["tasks"]) == left


def test_colours_are_left_out_when_nobody_wants_them(busy: Folder) -> None:
    _, colored = at_terminal(busy, "tasks", "list")
    _, plain = at_terminal(busy.using(NO_COLOR="1"), "tasks", "list")

    assert COLOR.search(colored)
    assert not COLOR.search(plain)


def test_an_empty_list_says_so(shop: Folder) -> None:
    assert at_terminal(shop, "tasks", "list") == (0, "no tasks\n")
    assert at_terminal(shop, "queues", "list") == (0, "no queues\n")


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_a_person_is_asked_before_a_task_is_deleted(answer: str, status: int, left: int, shop: Folder) -> None:
    shop.run("tasks", "add", "add", "--id", "one")

    ended, shown = at_terminal(shop, "tasks", "delete", "one", answer=answer)

    assert "Delete task one? [y/N]" in shown
    assert ended == status
    assert shop.run("tasks", "view", "one").status == left


def test_the_log_is_for_people_at_a_terminal_and_for_programs_elsewhere(shop: Folder) -> None:
    _, shown = at_terminal(shop, "worker", "shop", "--burst")
    elsewhere = shop.run("worker", "shop", "--burst").err

    assert re.search(r"\[.*info.*\].*worker started", shown)
    assert elsewhere.startswith('{"event": "connecting", ')


@WIDTHS
def test_a_history_fits(width: int, shop: Folder) -> None:
    shop.run("tasks", "initialize")
    shop.run("tasks", "configure", "--events-kept", "1d", "--force")
    shop.run("tasks", "add", "no:handler:of:this:name", "--id", "one")
    shop.run("worker", "shop", "--burst")

    status, shown = at_terminal(shop, "tasks", "history", "one", width=width)

    lines = COLOR.sub("", shown).splitlines()
    assert status == 0, shown
    assert [line.split()[2] for line in lines[1:]] == ["new", "active", "retry"]
    assert ("WORKER" in lines[0]) == (width == 140)
    assert max(map(len, lines)) <= width, shown
