"""
stores: ``jetq tasks``: initialize, configure, purge: the task store as a whole.
"""

from typing import Annotated

import typer

from jetq.cli.choosing import Bulk, Filters, Where
from jetq.cli.expanding import expanded

KEPT = "How long records of ended tasks are kept, e.g. 48h."
Retention = Annotated[str | None, typer.Option("--retention", metavar="TIME", help=KEPT)]
CompleteKept = Annotated[
    str | None, typer.Option("--complete-kept", metavar="TIME", help="The same for complete ones; 0 is a day.")
]
EventsKept = Annotated[
    str | None, typer.Option("--events-kept", metavar="TIME", help="How long events are kept, for history; 0 is not.")
]
EndedKept = Annotated[
    str | None, typer.Option("--ended-kept", metavar="TIME", help="The same for all others; 0 is 7 days.")
]


@expanded
def initialize(
    *,
    memory: Annotated[bool, typer.Option("--memory", help="Keep everything in memory, and lose it there.")] = False,
    replicas: Annotated[int, typer.Option("--replicas", metavar="N", help="Copies in a cluster, 1 to 5.")] = 1,
    retention: Retention = None,
    complete_kept: CompleteKept = None,
    ended_kept: EndedKept = None,
    events_kept: EventsKept = None,
    where: Where,
) -> None:
    """
    Create the task store before any application does.

    One that exists keeps its settings; configure changes them.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.session import in_session
    from jetq.cli.store_page import events_seconds, initialized, print_initialized, store_changes
    from jetq.settings import StoreSettings

    events = events_seconds(events_kept) or None
    settings = StoreSettings(storage="memory" if memory else "file", replicas=replicas, events_kept=events)
    changes = store_changes(retention, complete_kept, ended_kept)
    created, store = in_session(settings_at(where), lambda session: initialized(session, settings, changes))
    print_initialized(store, created=created, as_json=where.as_json)


@expanded
def configure(
    *,
    retention: Retention = None,
    complete_kept: CompleteKept = None,
    ended_kept: EndedKept = None,
    replicas: Annotated[
        int | None, typer.Option("--replicas", metavar="N", help="Copies of all but the queues, 1 to 5.")
    ] = None,
    events_kept: EventsKept = None,
    unasked: Annotated[bool, typer.Option("--yes", "-y", "--force", "-f", help="Do not ask.")] = False,
    where: Where,
) -> None:
    """
    Change the task store while it is in use.

    Retention counts for tasks that end from then on. What is not named stays.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.session import in_session
    from jetq.cli.store_page import ask_for_age, ask_to_forget, events_seconds, print_store, store_changes

    changes = store_changes(retention, complete_kept, ended_kept, replicas=replicas, required=events_kept is None)
    events = events_seconds(events_kept)
    settings = settings_at(where)
    if not unasked and retention is not None:
        ask_for_age(settings, changes)
    if not unasked and events == 0:
        ask_to_forget(settings)
    store = in_session(settings, lambda session: session.keeper.configure(changes, events_kept=events))
    print_store(store, as_json=where.as_json)


@expanded
def purge(
    *,
    filters: Filters,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask, and remove tasks that run too.")] = False,
    where: Where,
) -> None:
    """
    Remove all tasks, with their items, schedules and keys.

    With options that say which, it is delete. Queues stay.
    """
    from jetq.cli.chosen import settings_at
    from jetq.cli.operations import delete_tasks
    from jetq.cli.session import in_session
    from jetq.cli.store_page import ask_to_purge, print_purged

    if filters.given:
        delete_tasks(None, filters, Bulk(), where, yes=yes, force=force)
        return
    settings = settings_at(where)
    if not (yes or force):
        ask_to_purge(settings)
    print_purged(in_session(settings, lambda session: session.keeper.purge()), as_json=where.as_json)
