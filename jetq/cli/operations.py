"""
operations: ``jetq tasks``: cancel, retry, run-now, change, delete.

All but change take ids, or options that say which tasks.
"""

from typing import Annotated, Any

import typer

from jetq.cli.changing import Changes
from jetq.cli.choosing import Bulk, Filters, TaskIds, Unasked, Where
from jetq.cli.expanding import expanded

ToQueue = Annotated[
    str | None, typer.Option("--to-queue", metavar="NAME", help="Move them there; without it they keep their queue.")
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until those that run have stopped.")]
Timeout = Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="With --wait: give up after that.")]


@expanded
def cancel(
    task_ids: TaskIds = None,
    *,
    filters: Filters,
    bulk: Bulk,
    wait: Wait = False,
    timeout: Timeout = None,
    unasked: Unasked = False,
    where: Where,
) -> None:
    """
    End tasks that wait, and ask workers to stop those that run.

    A run that ends before it is stopped keeps its outcome.
    """
    from jetq.cli.chosen import settings_at, tasks_meant
    from jetq.cli.durations import parse_duration
    from jetq.cli.operating import Act, Waiting, operate, who
    from jetq.model.operation import Operation

    seconds = None if timeout is None else parse_duration("--timeout", timeout)
    by = who()
    act = Act(
        Operation.CANCEL,
        lambda operations: lambda task_id: operations.cancel(task_id, by=by),
        chosen=tasks_meant(task_ids, filters, bulk),
        bulk=bulk,
        unasked=unasked,
        as_json=where.as_json,
    )
    operate(act, settings_at(where), waiting=Waiting(wait, seconds))


@expanded
def retry(
    task_ids: TaskIds = None,
    *,
    filters: Filters,
    bulk: Bulk,
    to_queue: ToQueue = None,
    changes: Changes,
    dependents: Annotated[
        bool, typer.Option("--dependents", help="Tasks that are unreachable, since these failed, wait for them again.")
    ] = False,
    unasked: Unasked = False,
    where: Where,
) -> None:
    """
    Run tasks again that ended, or now that wait.

    Their tries begin anew. With ids, --queue moves them too, as with asyncjobs.
    """
    from jetq.admin.bulk_retry import retrying
    from jetq.cli.chosen import settings_at, tasks_meant
    from jetq.cli.operating import Act, operate
    from jetq.model.operation import Operation

    filters, target = moved(filters, to_queue, by_id=bool(task_ids))
    given: dict[str, Any] = changes.arguments() | ({} if target is None else {"queue": target})
    chosen = tasks_meant(task_ids, filters, bulk)
    act = Act(
        Operation.RETRY,
        lambda operations: retrying(operations, chosen, dependents=dependents, **given),
        chosen=chosen,
        bulk=bulk,
        unasked=unasked,
        as_json=where.as_json,
    )
    operate(act, settings_at(where))


def moved(filters: Filters, to_queue: str | None, *, by_id: bool) -> tuple[Filters, str | None]:
    """
    Return the filters, and the queue to move to: with ids ``--queue`` cannot mean a filter, and is where tasks go.

    Raises:
        InvalidNameError: No queue can have this name.
    """
    from dataclasses import replace

    from jetq.model.name import check_name

    if by_id and filters.queue is not None and to_queue is None:
        filters, to_queue = replace(filters, queue=None), filters.queue
    return filters, None if to_queue is None else check_name("queue", to_queue)


@expanded
def run_now(task_ids: TaskIds = None, *, filters: Filters, bulk: Bulk, unasked: Unasked = False, where: Where) -> None:
    """
    Run tasks now that wait for their time.

    Their tries count on.
    """
    from jetq.cli.chosen import settings_at, tasks_meant
    from jetq.cli.operating import Act, operate
    from jetq.model.operation import Operation

    act = Act(
        Operation.RUN_NOW,
        lambda operations: operations.run_now,
        chosen=tasks_meant(task_ids, filters, bulk),
        bulk=bulk,
        unasked=unasked,
        as_json=where.as_json,
    )
    operate(act, settings_at(where))


@expanded
def delete(
    task_ids: TaskIds = None,
    *,
    filters: Filters,
    bulk: Bulk,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask, and delete tasks that run too.")] = False,
    where: Where,
) -> None:
    """
    Remove tasks: their records, items and schedules.

    With --force also those that run: the run goes on, and its result is dropped.
    """
    delete_tasks(task_ids, filters, bulk, where, yes=yes, force=force)


def delete_tasks(
    task_ids: list[str] | None, filters: Filters, bulk: Bulk, where: Where, *, yes: bool, force: bool
) -> None:
    """Do what delete does; see there."""
    from jetq.cli.chosen import settings_at, tasks_meant
    from jetq.cli.operating import Act, operate
    from jetq.model.operation import Operation

    act = Act(
        Operation.DELETE,
        lambda operations: lambda task_id: operations.delete(task_id, force=force),
        chosen=tasks_meant(task_ids, filters, bulk),
        bulk=bulk,
        unasked=yes or force,
        destroys=True,
        as_json=where.as_json,
    )
    operate(act, settings_at(where))


@expanded
def change(
    task_id: Annotated[str, typer.Argument(metavar="ID", help="A task's id.")],
    *,
    to_queue: ToQueue = None,
    changes: Changes,
    where: Where,
) -> None:
    """Change a task that is queued or waits for its time."""
    from jetq.cli.chosen import settings_at, tasks_meant
    from jetq.cli.operating import Act, operate
    from jetq.errors import InvalidSettingError
    from jetq.model.operation import Operation

    given: dict[str, Any] = changes.arguments() | ({} if to_queue is None else {"queue": to_queue})
    if not given:
        raise InvalidSettingError("the changes", "nothing", "named, such as --max-tries 5")
    bulk = Bulk()
    act = Act(
        Operation.CHANGE,
        lambda operations: lambda id_: operations.change(id_, **given),
        chosen=tasks_meant([task_id], Filters(), bulk),
        bulk=bulk,
        unasked=True,
        as_json=where.as_json,
    )
    operate(act, settings_at(where))
