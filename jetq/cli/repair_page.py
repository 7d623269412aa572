"""
repair_page: what a pass of the janitor mended, as people and programs read it.
"""

from collections.abc import Mapping
from typing import Any, Final

import typer

from jetq.cli.exits import FAILED
from jetq.cli.render import print_json, print_table
from jetq.cli.table import Column
from jetq.cli.terminal import say
from jetq.model.events import JanitorPassed, TaskRepaired
from jetq.model.upkeep import Repair

_SHOWN: Final = 1000
"""Tasks that are listed; beyond that they are counted only."""
_COLUMNS: Final = (Column("TASK"), Column("QUEUE"), Column("MENDED", cut=True))
_WORDS: Final[Mapping[str, str]] = {
    Repair.ITEM: "it had no item in its queue",
    Repair.SCHEDULE: "it waits, and had no schedule",
    Repair.ENDED: "its item was removed; it ended",
    Repair.REFUSED: "the trace of a refused enqueue expires",
    Repair.ORPHAN_ITEM: "its item had no record",
    Repair.ORPHAN_SCHEDULE: "its schedule was left over",
    Repair.KEY: "its unique key was left over",
    Repair.TTL: "it has ended, and expires now",
}


class RepairPage:
    """
    Collects what is mended and prints it.

    Args:
        dry_run: It was only looked at.
        as_json: Print JSON.
    """

    def __init__(self, *, dry_run: bool, as_json: bool) -> None:
        self._dry_run = dry_run
        self._as_json = as_json
        self._shown: list[TaskRepaired] = []

    def take(self, repaired: TaskRepaired) -> None:
        """Take one repair."""
        if len(self._shown) < _SHOWN:
            self._shown.append(repaired)

    def print(self, passed: JanitorPassed) -> None:
        """Print all; leave with a failure if the server refused something."""
        if self._as_json:
            print_json(self._object(passed))
        else:
            self._print(passed)
        if not passed.complete:
            say("jetq: the server did not take all of it; try again")
            raise typer.Exit(FAILED)

    def _object(self, passed: JanitorPassed) -> dict[str, Any]:
        tasks = [{"task_id": one.task_id, "queue": one.queue, "kind": one.kind} for one in self._shown]
        return {
            "dry_run": self._dry_run,
            "records": passed.records,
            "repairs": passed.repairs,
            "missed": passed.missed,
            "complete": passed.complete,
            "tasks": tasks,
        }

    def _print(self, passed: JanitorPassed) -> None:
        count = sum(passed.repairs.values())
        if count:
            rows = [(one.task_id, one.queue or "-", _WORDS[one.kind]) for one in self._shown]
            print_table(_COLUMNS, rows, none="")
        if count > len(self._shown):
            say(f"... and {count - len(self._shown):,} more")
        done = "would be mended" if self._dry_run else "mended"
        say(f"read {passed.records:,} records; {count:,} {done}")
        if passed.missed:
            say(f"the items of {passed.missed:,} tasks were removed; a worker's janitor ends these tasks")
