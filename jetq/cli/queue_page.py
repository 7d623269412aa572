"""
queue_page: queues as people and programs read them, and limits as they write them.
"""

from dataclasses import dataclass
from typing import Any, Final, Self, cast

import msgspec
import typer

from jetq.admin.inspector import Overview
from jetq.cli.durations import parse_duration
from jetq.cli.render import age, limit, print_advice, print_fields, print_json, print_table, size, stamp
from jetq.cli.table import Column
from jetq.cli.terminal import say
from jetq.errors import InvalidSettingError
from jetq.jetstream.queue_catalog import QueueInfo
from jetq.jetstream.queue_changes import QueueChanges
from jetq.settings import Queue, Storage

_COLUMNS: Final = (
    Column("QUEUE", cut=True),
    Column("ITEMS", right=True),
    Column("PENDING", right=True),
    Column("RUNNING", right=True),
    Column("SCHEDULED", right=True),
    Column("OLDEST", right=True),
    Column("PAUSED", right=True, from_width=1),
    Column("SIZE", right=True, from_width=100),
    Column("LEASE", right=True, from_width=100),
    Column("RUN TIME", right=True, from_width=100),
    Column("FAULT", cut=True, from_width=100),
)
_STREAMS: Final = (
    Column("STREAM", cut=True),
    Column("HOLDS", cut=True),
    Column("MESSAGES", right=True),
    Column("SIZE", right=True),
    Column("STORAGE"),
    Column("REPLICAS", right=True, from_width=100),
)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """
    The limits of a queue as options give them; None where one is not given.

    Attributes:
        max_age, max_run_time, lease: In seconds.
    """

    max_age: float | None
    max_entries: int | None
    discard_old: bool | None
    max_tries: int | None
    max_run_time: float | None
    max_concurrent: int | None
    lease: float | None
    replicas: int | None = None

    @classmethod
    def parse(cls, *, max_age: str | None, max_run_time: str | None, lease: str | None, **numbers: Any) -> Self:
        """
        Read the durations.

        Raises:
            InvalidSettingError: One is none.
        """
        return cls(
            max_age=_seconds("--max-age", max_age),
            max_run_time=_seconds("--max-run-time", max_run_time),
            lease=_seconds("--lease", lease),
            **numbers,
        )

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value is not None}

    def queue(self, name: str, *, storage: str) -> Queue:
        """
        Return the queue to create.

        Raises:
            InvalidSettingError, InvalidNameError: Something cannot be used.
        """
        given = self._given()
        for unlimited in ("max_age", "max_entries"):
            if not given.get(unlimited):
                given.pop(unlimited, None)
        return Queue(name, storage=cast("Storage", storage), **given)

    def changes(self) -> QueueChanges:
        """
        Return the changes to make.

        Raises:
            InvalidSettingError: There are none, or one cannot be used.
        """
        given = self._given()
        if not given:
            raise InvalidSettingError("the limits", "nothing", "named, such as --max-concurrent 10")
        return QueueChanges(**given).checked()


def _seconds(option: str, text: str | None) -> float | None:
    return None if text is None else parse_duration(option, text)


def print_added(queue: QueueInfo, *, created: bool, as_json: bool) -> None:
    """Print a queue that was created, or existed."""
    if as_json:
        print_json(msgspec.to_builtins(queue) | {"created_now": created})
        return
    if not created:
        say(
            f"The queue {queue.name} existed and keeps its limits; change them with: jetq queues configure {queue.name}"
        )
    else:
        typer.echo(f"created {queue.name}")


def print_queues(queues: list[QueueInfo], *, as_json: bool) -> None:
    """Print a list of queues."""
    if as_json:
        print_json({"queues": queues})
    else:
        print_table(_COLUMNS, map(_row, queues), none="no queues")


def _row(queue: QueueInfo) -> tuple[str, ...]:
    limits = queue.settings
    return (
        queue.name,
        str(queue.items),
        str(queue.pending),
        str(queue.running),
        str(queue.scheduled),
        age(queue.oldest),
        _pause(queue),
        size(queue.size),
        limit(limits.lease, duration=True) if limits else "",
        limit(limits.max_run_time, duration=True) if limits else "",
        queue.fault,
    )


def _pause(queue: QueueInfo) -> str:
    """Say for how long a queue is paused from now on; nothing if it is not."""
    if not queue.paused:
        return ""
    return "for good" if queue.paused_until is None else age(queue.paused_until)


def print_paused(queue: QueueInfo, *, as_json: bool) -> None:
    """Print what became of a queue that was paused or resumed."""
    if as_json:
        print_json(queue)
    elif not queue.paused:
        typer.echo(f"{queue.name} gives its tasks to workers")
    else:
        until = "it is resumed" if queue.paused_until is None else stamp(queue.paused_until)
        print_advice([(f"{queue.name} is paused until {until}; {queue.running:,} tasks of it run on", "")])


def print_queue(queue: QueueInfo, *, as_json: bool) -> None:
    """Print one queue in full."""
    if as_json:
        print_json(queue)
        return
    fields = [
        ("Queue", queue.name),
        ("Fault", queue.fault),
        ("Paused until", "it is resumed" if queue.paused and not queue.paused_until else stamp(queue.paused_until)),
        ("Items", f"{queue.items:,} ({size(queue.size)})"),
        ("Pending", f"{queue.pending:,}"),
        ("Running", f"{queue.running:,}"),
        ("Scheduled", f"{queue.scheduled:,}"),
        ("Asked for", f"{queue.pulls:,} requests of workers wait for items"),
        ("Oldest item", stamp(queue.oldest)),
        ("Created", stamp(queue.created)),
        ("Stored", f"{queue.storage}, {queue.replicas} replica{'s' if queue.replicas > 1 else ''}"),
    ]
    if queue.settings is not None:
        bound = queue.settings
        fields += [
            ("Max run time", limit(bound.max_run_time, duration=True)),
            ("Max tries", limit(bound.max_tries)),
            ("Max concurrent", limit(bound.max_concurrent)),
            ("Max entries", limit(bound.max_entries)),
            ("When full", "drops the oldest item" if bound.discard_old else "refuses the new item"),
            ("Max age", limit(bound.max_age, duration=True)),
            ("Lease", limit(bound.lease, duration=True)),
            ("Made for", "Go and jetq" if bound.made_by_go else ""),
        ]
    print_fields(fields)


def print_overview(overview: Overview, source: str, *, as_json: bool) -> None:
    """Print the server, the namespace, its queues and streams."""
    if as_json:
        print_json(msgspec.to_builtins(overview) | {"source": source})
        return
    print_fields(
        [
            ("Server", overview.server),
            ("Named by", source),
            ("Version", f"nats-server {overview.server_version}, JetStream API level {overview.api_level}"),
            ("Namespace", overview.namespace),
            ("Tasks", f"{overview.tasks:,}"),
            ("Waiting", f"{overview.waiting:,}"),
            ("Workers", f"{overview.workers:,}"),
            ("Stored", size(overview.size)),
        ]
    )
    typer.echo("")
    print_table(_COLUMNS, map(_row, overview.queues), none="no queues yet: jetq queues add, or a worker, makes them")
    typer.echo("")
    rows = (
        (stream.name, stream.role, str(stream.messages), size(stream.size), stream.storage, str(stream.replicas))
        for stream in overview.streams
    )
    print_table(_STREAMS, rows, none="no streams yet: the first producer or worker makes them")
