"""
chosen: which tasks a command means.
"""

from datetime import timedelta

from jetq.admin.bulk_operations import Pace
from jetq.admin.task_filter import TaskFilter
from jetq.cli import options
from jetq.cli.choosing import Bulk, Filters, Where
from jetq.cli.durations import parse_duration
from jetq.cli.session import settings_for
from jetq.errors import InvalidSettingError
from jetq.model.quantity import seconds
from jetq.settings import Settings


def tasks_like(filters: Filters, *, limit: int, ids: tuple[str, ...] = ()) -> TaskFilter:
    """
    Return the filter.

    Raises:
        InvalidSettingError: An unknown state, or what is to be a duration is none.
        InvalidNameError: An illegal queue or id.
    """
    return TaskFilter(
        states=options.split_names(filters.state),
        queue=filters.queue,
        task_type=filters.task_type,
        flow=filters.flow,
        ids=ids,
        end=filters.end,
        error=filters.error,
        created_before=_ago("--older-than", filters.older_than),
        created_since=_ago("--newer-than/--since", filters.newer_than),
        changed_before=_ago("--unchanged-for", filters.unchanged_for),
        limit=limit,
    )


def _ago(option: str, text: str | None) -> timedelta | None:
    return None if text is None else timedelta(seconds=seconds(option, parse_duration(option, text)))


def tasks_meant(task_ids: list[str] | None, filters: Filters, bulk: Bulk) -> TaskFilter:
    """
    Return which tasks are meant.

    Raises:
        InvalidSettingError: None are named, or in two ways.
        InvalidNameError: An illegal queue or id.
    """
    given = filters.given + ["--all"] * bulk.everything
    if task_ids and given:
        raise InvalidSettingError("the tasks", f"ids and {' '.join(given)}", "named either by ids or by options")
    if bulk.everything and len(given) > 1:
        raise InvalidSettingError("the tasks", " ".join(given), "named either by --all or by other options")
    if not task_ids and not given:
        raise InvalidSettingError("the tasks", "nothing", "named: by ids, by options such as --state, or by --all")
    return tasks_like(filters, limit=bulk.limit or 0, ids=tuple(task_ids or ()))


def pace_of(bulk: Bulk) -> Pace:
    """
    Return how fast it is to go.

    Raises:
        InvalidSettingError: The rate makes no sense.
    """
    return Pace(rate=bulk.rate).checked()


def settings_at(where: Where) -> Settings:
    """
    Return the settings that the options ask for.

    Raises:
        InvalidSettingError, InvalidNameError: One cannot be used.
    """
    return settings_for(where.servers, where.context, where.namespace)
