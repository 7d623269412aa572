"""
flow_page: flows as people and programs read them.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import typer

from jetq.admin.flow_inspector import FlowListing, FlowView
from jetq.cli.bulk_page import counts
from jetq.cli.flow_tree import FIRST, rows_of
from jetq.cli.render import age, print_fields, print_json, print_table, printable, stamp
from jetq.cli.table import Column
from jetq.cli.terminal import say
from jetq.jetstream.task_store import Stored
from jetq.model.flow_status import GONE
from jetq.model.record import TaskRecord
from jetq.model.state import FAILED, State

_WIDE: Final = 110
_MOST_LINES: Final = 200
_MOST_FAILURES: Final = 10
_NAMED: Final = 3
_COLUMNS: Final = (
    Column("TASK", cut=True),
    Column("STATE"),
    Column("TRIES", right=True),
    Column("SINCE", right=True),
    Column("WAITS FOR, OR WHY", cut=True),
    Column("TYPE", cut=True, from_width=_WIDE),
    Column("ID", from_width=_WIDE),
)
_LIST: Final = (
    Column("ID"),
    Column("NAME", cut=True),
    Column("STATE"),
    Column("TASKS", right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("AGE", right=True),
)
_BAD: Final = frozenset({"expired", "terminated", "unreachable", "cancelled"})


class FlowPage:
    """
    A flow with its tasks, as it is shown.

    Args:
        view: It.
    """

    def __init__(self, view: FlowView) -> None:
        self._view = view
        self._document = view.document
        self._now = datetime.now(UTC)
        positions = {node.id: position for position, node in enumerate(self._document.nodes)}
        self._positions = positions
        self.parents: list[list[int]] = [
            [positions[parent] for parent in stored.record.dependencies if positions.get(parent, place) < place]
            if stored is not None
            else []
            for place, stored in enumerate(view.records)
        ]

    def print(self, *, everything: bool = False) -> None:
        """Print it: what it is, its tasks as a tree, and what failed."""
        document, status = self._document, self._view.status
        enqueued = Counter(stored.record.display_state for stored in self._view.enqueued)
        print_fields(
            [
                ("Flow", document.name or document.id),
                ("ID", document.id if document.name else ""),
                ("State", status.state),
                ("Tasks", f"{status.tasks:,} ({counts(status.counts)})"),
                ("Enqueued", f"{enqueued.total():,} by its tasks ({counts(enqueued)})" if enqueued else ""),
                ("Created", stamp(document.created)),
            ]
        )
        for_person = sys.stdout.isatty()
        rows = list(self._rows(first=0 if everything or not for_person else FIRST, drawn=for_person))
        if for_person:
            typer.echo("")
        shown = rows if everything or not for_person else rows[:_MOST_LINES]
        print_table(_COLUMNS, shown, none="no tasks")
        if for_person:
            self._print_failures()
        if len(shown) < len(rows) or any(not row[-1] for row in shown):
            say(f"Not every one of the {status.tasks:,} tasks is shown: --all shows them.")

    def _rows(self, *, first: int, drawn: bool) -> Iterator[tuple[str, ...]]:
        for row in rows_of(self.parents, first=first):
            branch = row.branch if drawn else ""
            if row.node >= 0:
                yield self._row(row.node, branch)
            else:
                states = Counter(self._state(position) for position in row.hidden)
                yield f"{branch}… {len(row.hidden):,} more", "", "", "", counts(states), "", ""

    def _row(self, position: int, branch: str) -> tuple[str, ...]:
        node, kind, stored = self._document.nodes[position], self._document.kind_of(position), self._stored(position)
        name = f"{branch}{node.name}"
        if stored is None:
            return name, GONE, "", "", "", kind.type, node.id
        record = stored.record
        tries = f"{record.tries}/{record.max_tries}" if record.max_tries > 0 else str(record.tries)
        note = self._note(record, position)
        return name, record.display_state, tries, age(stored.written, self._now), note, kind.type, node.id

    def _note(self, record: TaskRecord, position: int) -> str:
        """Say what a task waits for, or why it failed, or beside which others it stands."""
        if record.state is State.BLOCKED:
            return self._waits_for(record)
        if record.state is State.UNREACHABLE and (failed := self._failed_parents(record)):
            return failed
        if record.state in FAILED:
            return record.last_err or record.end
        if record.is_waiting:
            return f"due {age(record.due, self._now)}; {record.last_err}".removesuffix("; ")
        parents = self.parents[position]
        return f"after {_some([self._document.nodes[parent].name for parent in parents])}" if len(parents) > 1 else ""

    def _waits_for(self, record: TaskRecord) -> str:
        tasks = [parent for parent in record.pending if parent != record.flow]
        if not tasks:
            return "its flow is not stored completely"
        of = f" (of {len(record.dependencies):,})" if len(tasks) < len(record.dependencies) else ""
        return f"{_some([self._named(task_id) for task_id in tasks])}{of}"

    def _failed_parents(self, record: TaskRecord) -> str:
        """Name those by which a task became unreachable, as far as they are of the flow."""
        parents = [self._positions[parent] for parent in record.pending if parent in self._positions]
        states = {parent: self._state(parent) for parent in parents}
        failed = [f"{self._document.nodes[parent].name} {state}" for parent, state in states.items() if state in _BAD]
        return _some(failed)

    def _named(self, task_id: str) -> str:
        """Return the name of a task in the flow; one of elsewhere is called by its id."""
        position = self._positions.get(task_id)
        return task_id if position is None else self._document.nodes[position].name

    def _print_failures(self) -> None:
        """Print what failed by itself, in full, with the ids that people copy."""
        failed = [
            (position, stored)
            for position, stored in enumerate(self._view.records)
            if stored is not None and stored.record.state in FAILED and stored.record.state is not State.UNREACHABLE
        ]
        if failed:
            typer.echo("\nFailed:")
        for position, stored in failed[:_MOST_FAILURES]:
            record = stored.record
            end = f" ({record.end})" if record.end and record.end != record.display_state else ""
            typer.echo(
                printable(f"  {self._document.nodes[position].name}  {record.id}  {record.display_state}{end} ")
                + f"{age(stored.written, self._now)} ago"
            )
            for line in record.last_err.splitlines():
                typer.echo(f"    {printable(line)}")
        if len(failed) > _MOST_FAILURES:
            typer.echo(f"  and {len(failed) - _MOST_FAILURES:,} more")

    def object(self) -> dict[str, Any]:
        """Return it as JSON."""
        document, status = self._document, self._view.status
        return {
            "id": document.id,
            "name": document.name,
            "state": status.state,
            "created": document.created,
            "counts": status.counts,
            "tasks": [self._task(position) for position in range(len(document.nodes))],
            "enqueued": [
                {"id": stored.record.id, "type": stored.record.type, "state": stored.record.display_state}
                for stored in self._view.enqueued
            ],
        }

    def _task(self, position: int) -> dict[str, Any]:
        node, kind, stored = self._document.nodes[position], self._document.kind_of(position), self._stored(position)
        known = {"id": node.id, "name": node.name, "type": kind.type, "queue": kind.queue}
        if stored is None:
            return known | {"state": GONE}
        record = stored.record
        return known | {
            "state": record.display_state,
            "end": record.end,
            "tries": record.tries,
            "max_tries": record.max_tries,
            "after": [self._named(parent) for parent in record.dependencies],
            "waits_for": [self._named(each) for each in record.pending if each != record.flow and not record.is_final],
            "due": record.due,
            "last_err": record.last_err,
            "changed": stored.written,
        }

    def dot(self) -> str:
        """Return it in the language of Graphviz."""
        lines = [f"digraph {_quoted(self._document.name or self._document.id)} {{", "  node [shape=box, style=filled]"]
        for position, node in enumerate(self._document.nodes):
            state = self._state(position)
            color = _DOT.get(state, "white")
            label = _quoted(f"{node.name}\n{state}")
            lines.append(f"  {_quoted(node.name)} [label={label}, fillcolor={color}]")
        names = self._document.nodes
        for child, several in enumerate(self.parents):
            lines += [f"  {_quoted(names[parent].name)} -> {_quoted(names[child].name)}" for parent in several]
        return "\n".join([*lines, "}"])

    def _stored(self, position: int) -> Stored | None:
        return self._view.records[position]

    def _state(self, position: int) -> str:
        stored = self._view.records[position]
        return GONE if stored is None else stored.record.display_state


_DOT: Final[Mapping[str, str]] = {
    "active": "lightblue",
    "complete": "palegreen",
    "blocked": "lightgrey",
    "retry": "khaki",
    "scheduled": "khaki",
    "gone": "white",
    **dict.fromkeys(_BAD, "lightcoral"),
    "queue_error": "lightcoral",
}


def _some(names: Sequence[str]) -> str:
    """Return some names, and how many there are beside them."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def print_flows(listing: FlowListing, *, as_json: bool) -> None:
    """Print a list of flows."""
    if as_json:
        flows = [
            {"id": flow.id, "name": flow.name, "created": flow.created, "state": flow.status.state}
            | {"tasks": flow.status.tasks, "counts": flow.status.counts}
            for flow in listing.flows
        ]
        print_json({"flows": flows, "total": listing.total})
        return
    now = datetime.now(UTC)
    rows = [
        (
            flow.id,
            flow.name,
            flow.status.state.value,
            f"{flow.status.tasks:,}",
            f"{flow.status.counts.get('complete', 0):,}",
            f"{sum(flow.status.counts.get(state, 0) for state in _BAD):,}",
            age(flow.created, now),
        )
        for flow in listing.flows
    ]
    print_table(_LIST, rows, none="no flows")
    if len(listing.flows) < listing.total:
        say(f"These are the latest {len(listing.flows):,} of {listing.total:,}: --limit 0 shows all.")
