"""A supervisor of real processes, which live and die as each test tells them to."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PATIENCE = 40.0
QUICK = {"backoff_first": 0.2, "backoff_most": 0.4}

pytestmark = pytest.mark.timeout(60)  # dozens of interpreters start, on whatever machine


class Watched:
    """A supervisor in a process of its own, and what it told."""

    def __init__(self, hows: str, *, burst: bool = False, notify: str = "", **settings: Any) -> None:
        command = [sys.executable, "-m", "tests.unit.supervisor.program"]
        arguments = [json.dumps(QUICK | settings), hows, "burst" if burst else ""]
        environment = os.environ | ({"NOTIFY_SOCKET": notify} if notify else {})
        self.process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, env=environment)
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()

    def told(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        wanted = {"event": kind, **fields}
        return [event for event in list(self.events) if wanted.items() <= event.items()]

    def wait(self, kind: str, *, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait until so many events of a kind were told, and return the last of them."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self.told(kind, **fields)) >= count, PATIENCE)
            assert found, f"no {kind} {fields} in {self.events}"
            return self.told(kind, **fields)[count - 1]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.end()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self._reader.join(PATIENCE)
            self.process.stdout.close()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    """Start supervisors, and end them with the test."""
    started: list[Watched] = []

    def begin(hows: str, **options: Any) -> Watched:
        started.append(Watched(hows, **options))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


Watch = Callable[..., Watched]


def test_it_keeps_its_children_until_it_is_told_to_stop(watch: Watch) -> None:
    supervisor = watch("well", processes=2)
    supervisor.wait("ChildReady", count=2)

    assert supervisor.stop() == 0
    assert {event["place"] for event in supervisor.told("ChildReady")} == {1, 2}
    assert [event["orderly"] for event in supervisor.told("ChildEnded")] == [True, True]
    assert supervisor.told("ChildReplaced") == []


def test_a_killed_child_is_replaced_at_once_and_later_after_growing_waits(watch: Watch) -> None:
    supervisor = watch("well")
    for number in range(4):
        os.kill(supervisor.wait("ChildReady", count=number + 1)["pid"], signal.SIGKILL)
    supervisor.wait("ChildReady", count=5)

    assert supervisor.stop() == 0
    assert [event["after"] for event in supervisor.told("RestartDelayed")] == [0.2, 0.4, 0.4]
    assert len(supervisor.told("ChildReplaced", reason="crash", detail="was killed by SIGKILL")) == 4
    assert all(event["peak_memory"] > 2**20 for event in supervisor.told("ChildEnded", orderly=False))


def test_a_first_child_that_does_not_start_ends_everything_with_its_status(watch: Watch) -> None:
    supervisor = watch("exit:3", processes=4)

    assert supervisor.end() == 3
    assert len(supervisor.told("ChildStarted")) == 1


def test_a_first_child_that_is_killed_as_it_starts_ends_everything(watch: Watch) -> None:
    supervisor = watch("mute", processes=2)
    os.kill(supervisor.wait("ChildStarted")["pid"], signal.SIGKILL)

    assert supervisor.end() == 1


def test_a_later_child_that_does_not_start_is_started_again(watch: Watch) -> None:
    supervisor = watch("well,exit:3,exit:3,well", processes=2)
    supervisor.wait("ChildReady", place=2)

    assert supervisor.stop() == 0
    assert len(supervisor.told("ChildEnded", how="ended with status 3")) == 2


def test_a_child_that_gives_no_sign_of_life_is_killed_and_replaced(watch: Watch) -> None:
    supervisor = watch("silent,well", child_timeout=1.0)
    supervisor.wait("ChildReady", count=2)

    assert supervisor.stop() == 0
    assert supervisor.told("ChildEnded", how="was killed by SIGKILL (no sign of life for 1 s)")
    assert [event["reason"] for event in supervisor.told("ChildReplaced")] == ["silent"]


def test_a_child_that_does_not_come_to_take_tasks_is_killed(watch: Watch) -> None:
    supervisor = watch("well,mute,well", processes=2, start_timeout=2.0)
    supervisor.wait("ChildReady", place=2)

    assert supervisor.told("ChildReplaced", reason="silent", detail="it did not start within 2 s")


def test_a_frozen_child_is_replaced(watch: Watch) -> None:
    supervisor = watch("well", child_timeout=1.0)
    os.kill(supervisor.wait("ChildReady")["pid"], signal.SIGSTOP)

    supervisor.wait("ChildReady", count=2)
    assert supervisor.stop() == 0


def test_a_supervisor_that_was_frozen_itself_blames_nobody(watch: Watch) -> None:
    supervisor = watch("well", child_timeout=1.0)
    pid = supervisor.wait("ChildReady")["pid"]
    supervisor.signal(signal.SIGSTOP)
    time.sleep(2.5)
    supervisor.signal(signal.SIGCONT)
    time.sleep(0.5)

    assert supervisor.stop() == 0
    assert [event["pid"] for event in supervisor.told("ChildEnded")] == [pid]
    assert supervisor.told("ChildReplaced") == []


def test_a_child_that_did_enough_stays_until_the_next_takes_tasks(watch: Watch) -> None:
    supervisor = watch("busy,well", max_tasks_per_child=50)
    supervisor.wait("ChildEnded")

    first, second = supervisor.told("ChildReady")
    [ended], [replaced] = supervisor.told("ChildEnded"), supervisor.told("ChildReplaced")
    assert ended["pid"] == first["pid"] == replaced["pid"]
    assert (ended["orderly"], replaced["reason"]) == (True, "max_tasks")
    assert supervisor.events.index(second) < supervisor.events.index(ended)
    assert supervisor.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of another process is read from /proc")
def test_a_child_that_grew_too_big_is_replaced(watch: Watch) -> None:
    supervisor = watch("fat,well", max_memory_per_child=100 * 2**20)
    supervisor.wait("ChildEnded")

    [replaced] = supervisor.told("ChildReplaced")
    assert replaced["reason"] == "max_memory"
    assert replaced["detail"].endswith(" of 100 MiB")
    assert supervisor.stop() == 0


def test_a_child_whose_handler_blocks_beyond_its_limit_is_killed(watch: Watch) -> None:
    supervisor = watch("stuck,well")
    supervisor.wait("ChildReady", count=2)

    assert supervisor.told("ChildReplaced", reason="overdue", detail="a T1 runs on\nthe stack")
    assert supervisor.told("ChildEnded", how="was killed by SIGKILL (a T1 runs on)")


def test_a_child_whose_handler_only_does_not_end_is_replaced_in_order(watch: Watch) -> None:
    supervisor = watch("overdue,well")
    supervisor.wait("ChildEnded")

    assert supervisor.told("ChildReplaced", reason="overdue", detail="a T1 runs on")
    assert supervisor.told("ChildEnded", orderly=True)


def test_hup_replaces_one_after_the_other_and_none_is_missing(watch: Watch) -> None:
    supervisor = watch("well", processes=2)
    supervisor.wait("ChildReady", count=2)
    supervisor.signal(signal.SIGHUP)
    supervisor.wait("ReloadEnded", error="")

    ready, most, least = 0, 0, 2
    for event in supervisor.events:
        ready += (event["event"] == "ChildReady") - (event["event"] == "ChildEnded")
        if len(supervisor.told("ChildReady")) and event["event"] in {"ChildReady", "ChildEnded"}:
            most = max(most, ready)
            least = min(least, ready) if most >= 2 else least
    assert (most, least) == (3, 2)
    assert len(supervisor.told("ChildReplaced", reason="reload")) == 2
    assert supervisor.stop() == 0


def test_a_rolling_restart_whose_first_new_child_does_not_start_is_given_up(watch: Watch) -> None:
    supervisor = watch("well,well,exit:2,well", processes=2)
    before = {supervisor.wait("ChildReady", count=number)["pid"] for number in (1, 2)}
    supervisor.signal(signal.SIGHUP)

    ended = supervisor.wait("ReloadEnded")
    assert ended["error"] == "the new child ended with status 2; the old ones go on"
    supervisor.wait("ChildEnded", how="ended with status 2")
    assert supervisor.stop() == 0
    assert {event["pid"] for event in supervisor.told("ChildEnded", orderly=True)} == before


def test_a_rolling_restart_starts_those_at_once_that_crashed_before(watch: Watch) -> None:
    supervisor = watch("well,exit:2,exit:2,well", processes=2, backoff_first=100, backoff_most=100)
    supervisor.wait("RestartDelayed", place=2)
    supervisor.signal(signal.SIGHUP)

    supervisor.wait("ChildReady", place=2)
    supervisor.wait("ReloadEnded", error="")
    assert supervisor.stop() == 0


def test_a_child_that_does_not_stop_is_killed_and_the_status_says_so(watch: Watch) -> None:
    supervisor = watch("deaf")
    supervisor.wait("ChildReady")

    assert supervisor.stop() == 1
    assert supervisor.told("ChildEnded", how="was killed by SIGKILL (it did not end in time)")


def test_a_third_signal_kills(watch: Watch) -> None:
    supervisor = watch("deaf")
    supervisor.wait("ChildReady")
    for _ in range(3):
        supervisor.signal(signal.SIGINT)
        time.sleep(0.05)

    assert supervisor.end() == 1
    assert supervisor.told("ChildEnded", how="was killed by SIGKILL (a third signal)")


def test_one_that_is_still_starting_is_ended_by_a_stop(watch: Watch) -> None:
    supervisor = watch("mute")
    supervisor.wait("ChildStarted")

    assert supervisor.stop() == 0


def test_what_a_killed_child_had_in_flight_goes_to_another_one(watch: Watch) -> None:
    supervisor = watch("well,loaded:3,well", processes=2)
    supervisor.wait("ChildReady", count=2)
    heir, dead = supervisor.wait("ChildReady", place=1), supervisor.wait("ChildReady", place=2)
    os.kill(dead["pid"], signal.SIGKILL)

    handed = supervisor.wait("RunsHandedOver")
    assert handed == {
        "event": "RunsHandedOver",
        "dead_worker": dead["worker"],
        "runs": 3,
        "heir": heir["worker"],
    }


def test_the_only_childs_runs_wait_for_the_next_one(watch: Watch) -> None:
    supervisor = watch("loaded:2,well")
    dead = supervisor.wait("ChildReady")
    os.kill(dead["pid"], signal.SIGKILL)

    handed = supervisor.wait("RunsHandedOver")
    assert (handed["runs"], handed["heir"]) == (2, supervisor.told("ChildReady")[1]["worker"])


def test_with_nobody_left_the_runs_are_left_to_their_leases(watch: Watch) -> None:
    supervisor = watch("loaded:2")
    dead = supervisor.wait("ChildReady")
    supervisor.signal(signal.SIGSTOP)
    os.kill(dead["pid"], signal.SIGKILL)
    supervisor.signal(signal.SIGTERM)
    supervisor.signal(signal.SIGCONT)

    assert supervisor.end() == 1
    assert supervisor.told("RunsHandedOver", dead_worker=dead["worker"], runs=2, heir="")


def test_a_system_without_room_for_another_child_gets_it_later(watch: Watch) -> None:
    supervisor = watch("well,no-room,well", processes=2)
    supervisor.wait("ChildReady", count=2)

    assert supervisor.stop() == 0
    assert len(supervisor.told("ChildStarted")) == 2


def test_in_burst_mode_it_ends_with_its_children(watch: Watch) -> None:
    supervisor = watch("fails:0", burst=True, processes=2)

    assert supervisor.end() == 0
    assert len(supervisor.told("ChildStarted")) == 2


def test_in_burst_mode_a_crash_is_mended(watch: Watch) -> None:
    supervisor = watch("fails:1,fails:0", burst=True)

    assert supervisor.end() == 0
    assert len(supervisor.told("ChildStarted")) == 2


def test_a_child_that_ends_in_order_by_itself_is_replaced_at_once(watch: Watch) -> None:
    supervisor = watch("fails:0,fails:0,well")
    supervisor.wait("ChildReady", count=3)

    assert supervisor.told("RestartDelayed") == []
    assert supervisor.stop() == 0
