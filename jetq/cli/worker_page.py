"""
worker_page: workers as people and programs read them.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import typer

from jetq.admin.workers import Ping, WorkerInfo
from jetq.cli.render import age, print_fields, print_json, print_table, stamp
from jetq.cli.table import Column
from jetq.model.running import RunningTask
from jetq.model.span import format_duration

_WORKERS: Final = (
    Column("WORKER"),
    Column("HOST", cut=True),
    Column("PID", right=True),
    Column("STATE"),
    Column("RUNNING", right=True),
    Column("UP", right=True),
    Column("QUEUES", cut=True),
    Column("OLDEST", right=True, from_width=100),
    Column("SEEN", right=True, from_width=100),
    Column("VERSION", cut=True, from_width=120),
)
_PINGS: Final = (Column("WORKER"), Column("MS", right=True), Column("STATE"), Column("RUNNING", right=True))
_TASKS: Final = (
    Column("TASK"),
    Column("TYPE", cut=True),
    Column("QUEUE", cut=True),
    Column("ATTEMPT", right=True),
    Column("AGE", right=True),
)


def print_workers(workers: Sequence[WorkerInfo], *, as_json: bool) -> None:
    """Print a list of workers."""
    if as_json:
        print_json({"workers": [_as_json(info) for info in workers]})
    else:
        print_table(_WORKERS, map(_row, workers), none="no worker lives here: jetq worker MODULE:APP starts one")


def _row(info: WorkerInfo) -> tuple[str, ...]:
    return (
        info.worker,
        info.host,
        str(info.pid),
        info.state,
        f"{info.running}/{info.slots}",
        age(info.started),
        ",".join(info.queues),
        format_duration(info.tasks[0].age) if info.tasks else "",
        age(info.seen),
        info.version,
    )


def _as_json(info: WorkerInfo) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(info)
    return told | {"tasks": [_task_as_json(task) for task in info.tasks]}


def _task_as_json(task: RunningTask) -> dict[str, object]:
    told: dict[str, object] = msgspec.structs.asdict(task)
    return told


def print_pings(pings: Sequence[Ping], *, as_json: bool) -> None:
    """Print which workers answered."""
    if as_json:
        print_json({"workers": pings})
        return
    rows = (
        (each.worker, "no answer" if each.ms is None else f"{each.ms:.1f}", each.state, str(each.running or 0))
        for each in pings
    )
    print_table(_PINGS, rows, none="no worker lives here")


def print_worker(info: WorkerInfo, tasks: Sequence[RunningTask], *, as_json: bool) -> None:
    """Print a worker in full, with the tasks that it runs now."""
    if as_json:
        print_json(_as_json(info) | {"running": len(tasks), "tasks": [_task_as_json(task) for task in tasks]})
        return
    print_fields(
        [
            ("Worker", info.worker),
            ("Process", f"{info.pid} on {info.host}"),
            ("Version", info.version),
            ("State", info.state),
            ("Started", stamp(info.started)),
            ("Seen", stamp(info.seen)),
            ("Queues", ", ".join(info.queues)),
            ("Handlers", ", ".join(info.patterns)),
            ("Running", f"{len(tasks)} of {info.slots} slots"),
        ]
    )
    typer.echo("")
    rows = ((task.id, task.type, task.queue, str(task.attempt), format_duration(task.age)) for task in tasks)
    print_table(_TASKS, rows, none="no task runs")


def print_orders(running: Mapping[str, int], order: str, words: str, *, as_json: bool) -> None:
    """Print which workers heard an order, and what they still run."""
    if as_json:
        told = [{"worker": worker, "order": order, "running": count} for worker, count in running.items()]
        print_json({"workers": told})
        return
    for worker, count in running.items():
        on = "1 task of it runs on" if count == 1 else f"{count:,} tasks of it run on"
        typer.echo(f"{worker} {words}; {on}")
