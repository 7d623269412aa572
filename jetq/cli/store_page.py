"""
store_page: the task store as people and programs read it, and its settings as they write them.
"""

from typing import Final

import msgspec
import typer

from jetq.admin.store_keeper import PurgedStore, StoreInfo
from jetq.cli.bulk_page import numbered
from jetq.cli.durations import parse_duration
from jetq.cli.render import limit, print_fields, print_json, size, stamp
from jetq.cli.session import Session, in_session
from jetq.cli.terminal import confirm, say
from jetq.errors import InvalidSettingError
from jetq.jetstream.store_changes import StoreChanges
from jetq.model.quantity import seconds
from jetq.model.span import format_duration
from jetq.settings import Settings, StoreSettings

_CHANGE: Final = "change them with: jetq tasks configure"


def store_changes(
    retention: str | None,
    complete_kept: str | None,
    ended_kept: str | None,
    *,
    replicas: int | None = None,
    required: bool = False,
) -> StoreChanges:
    """
    Return the changes to make.

    Raises:
        InvalidSettingError: One cannot be used, or there are none and one is required.
    """
    changes = StoreChanges(
        retention=_seconds("--retention", retention),
        complete_kept=_seconds("--complete-kept", complete_kept),
        ended_kept=_seconds("--ended-kept", ended_kept),
        replicas=replicas,
    )
    if required and changes == StoreChanges():
        raise InvalidSettingError("the settings", "nothing", "named, such as --retention 48h")
    return changes.checked()


def _seconds(option: str, text: str | None) -> float | None:
    return None if text is None else parse_duration(option, text)


async def initialized(session: Session, settings: StoreSettings, changes: StoreChanges) -> tuple[bool, StoreInfo]:
    """Create the store; say whether it was, and how it is."""
    created = await session.keeper.initialize(settings, changes)
    return created, await session.keeper.describe()


def ask_for_age(settings: Settings, changes: StoreChanges) -> None:
    """
    Ask before a store that drops records of whatever state at an age does so at a shorter one.

    Raises:
        Exit: Nobody is there to be asked.
        Abort: The answer is no.
    """
    store = in_session(settings, lambda session: session.keeper.describe())
    wanted = seconds("--retention", changes.retention or 0.0)
    if store.max_age and 0 < wanted < store.max_age:
        text = f"{store.name} drops every record at an age, also of tasks that wait. At once those older than"
        confirm(f"{text} {format_duration(wanted)}?", force=False)


def events_seconds(text: str | None) -> float | None:
    """
    Return the seconds that events are to be kept; 0 for not at all, None if nothing is said.

    Raises:
        InvalidSettingError: It is no duration.
    """
    return _seconds("--events-kept", text)


def ask_to_forget(settings: Settings) -> None:
    """
    Ask before the history of tasks is removed, if there is one.

    Raises:
        Exit: Nobody is there to be asked.
        Abort: The answer is no.
    """
    store = in_session(settings, lambda session: session.keeper.describe())
    if store.events_kept:
        confirm(f"Remove the events of the last {format_duration(store.events_kept)}, and keep no more?", force=False)


def ask_to_purge(settings: Settings) -> None:
    """
    Ask before all tasks are removed.

    Raises:
        Exit: Nobody is there to be asked.
        Abort: The answer is no.
    """
    store = in_session(settings, lambda session: session.keeper.describe())
    confirm(f"Remove {numbered(store.records)} of {store.name}, with items, schedules and keys?", force=False)


def print_initialized(store: StoreInfo, *, created: bool, as_json: bool) -> None:
    """Print a store that was created, or existed."""
    if as_json:
        print_json(msgspec.to_builtins(store) | {"created_now": created})
        return
    if created:
        typer.echo(f"created {store.name}")
    else:
        say(f"The task store {store.name} existed and keeps its settings; {_CHANGE}")
    print_fields(_fields(store))


def print_store(store: StoreInfo, *, as_json: bool) -> None:
    """Print a store."""
    if as_json:
        print_json(store)
    else:
        print_fields([("Store", store.name), *_fields(store)])
    if not as_json and store.max_age:
        say(f"The store drops every record {format_duration(store.max_age)} after it was last written, in any state.")


def _fields(store: StoreInfo) -> list[tuple[str, str]]:
    others = ", ".join(f"{name} has {replicas}" for name, replicas in store.others.items())
    return [
        ("Records", f"{store.records:,} ({size(store.size)})"),
        ("Stored", f"{store.storage}, {store.replicas} replica{'s' if store.replicas > 1 else ''}"),
        ("But", others),
        ("Complete kept", limit(store.complete_kept, duration=True) if store.record_ttl else ""),
        ("Others kept", limit(store.ended_kept, duration=True) if store.record_ttl else ""),
        ("Max age", limit(store.max_age, duration=True) if store.max_age or not store.record_ttl else ""),
        ("Events kept", limit(store.events_kept, duration=True) if store.events_kept else "no"),
        ("Created", stamp(store.created)),
    ]


def print_purged(purged: PurgedStore, *, as_json: bool) -> None:
    """Print what a purge removed."""
    if as_json:
        print_json(purged)
    else:
        typer.echo(
            f"removed {numbered(purged.records)}, with {purged.items:,} items, {purged.schedules:,} schedules and "
            f"{purged.keys:,} keys"
        )
