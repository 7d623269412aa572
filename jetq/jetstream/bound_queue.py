"""
bound_queue: the task store and the queues as they stand on the server, whatever the code declares.
"""

from typing import Final

from msgspec import Struct

from jetq.errors import TopologyMismatchError
from jetq.jetstream import blueprint
from jetq.jetstream.blueprint import NANOSECONDS, Config
from jetq.jetstream.due_source import is_sourced
from jetq.settings import SHORTEST_KEPT, Queue, Storage
from jetq.wire.names import (
    METADATA_COMPLETE_KEPT,
    METADATA_ENDED_KEPT,
    METADATA_MAX_RUN_TIME,
    METADATA_MAX_TRIES,
    WORKERS,
    Names,
)


class BoundStore(Struct, frozen=True, kw_only=True):
    """
    The task store as it is.

    Attributes:
        storage, replicas: Of the store, and of everything that is made beside it.
        max_age: Seconds after which any record is dropped, whatever its state; 0 keeps all.
        record_ttl: Whether a record may carry its own time to live.
        complete_kept, ended_kept: Seconds that the records of complete and of other ended tasks are kept where an
            application does not say; None where the store does not either.
    """

    storage: Storage
    replicas: int
    max_age: float
    record_ttl: bool
    complete_kept: float | None = None
    ended_kept: float | None = None


class BoundQueue(Struct, frozen=True, kw_only=True):
    """
    A queue as it is, which may differ from how the code declares it.

    Attributes:
        name: The queue.
        lease: Seconds until the task of a dead worker may run elsewhere.
        max_run_time: Seconds that a task may run.
        max_tries: Tries of each task; 0 is unlimited.
        max_concurrent: Tasks that may run at one time; 0 is unlimited.
        max_entries: Items that the queue holds; 0 is unlimited.
        discard_old: A full queue drops its oldest item in place of refusing the new one.
        max_age: Seconds until an item is dropped; 0 keeps it for ever.
        made_by_go: Its consumer has the form that Go programs make and read: ``ack_wait`` is the run time, and the
            server stops delivering an item after ``max_tries`` deliveries.
        sourced: Delayed tasks and retries come into it when they are due.
        record_ttl: Whether the records of its tasks may carry a time to live.
    """

    name: str
    lease: float
    max_run_time: float
    max_tries: int = 0
    max_concurrent: int = 0
    max_entries: int = 0
    discard_old: bool = False
    max_age: float = 0.0
    made_by_go: bool = False
    sourced: bool = True
    record_ttl: bool = True


def read_queue(names: Names, name: str, stream: Config, consumer: Config, *, record_ttl: bool = True) -> BoundQueue:
    """
    Read the settings of a queue from its stream and its consumer.

    The lease is always ``ack_wait``, whatever the metadata say: that is when the server delivers again.

    Raises:
        TopologyMismatchError: jetq cannot work with the consumer.
    """
    known_as = f"{names.queue(name)}.{WORKERS}"
    blueprint.check(known_as, blueprint.consumer_rules(names, name), consumer)
    metadata: dict[str, str] = consumer.get("metadata") or {}
    lease = consumer["ack_wait"] / NANOSECONDS
    made_by_go = METADATA_MAX_RUN_TIME not in metadata
    if made_by_go:
        run_time, max_tries = lease, max(0, consumer.get("max_deliver", 0))
    else:
        run_time = blueprint.read_number(known_as, metadata, METADATA_MAX_RUN_TIME)
        max_tries = int(blueprint.read_number(known_as, metadata, METADATA_MAX_TRIES))
    return BoundQueue(
        name=name,
        lease=lease,
        max_run_time=run_time,
        max_tries=max_tries,
        max_concurrent=max(0, consumer.get("max_ack_pending", 0)),
        max_entries=max(0, stream.get("max_msgs", 0)),
        discard_old=stream.get("discard") == "old",
        max_age=stream.get("max_age", 0) / NANOSECONDS,
        made_by_go=made_by_go,
        sourced=is_sourced(names, name, stream),
        record_ttl=record_ttl,
    )


def read_store(stream: Config) -> BoundStore:
    """Read the settings of the task store from its stream."""
    return BoundStore(
        storage=stream.get("storage", "file"),
        replicas=stream.get("num_replicas", 1),
        max_age=stream.get("max_age", 0) / NANOSECONDS,
        record_ttl=bool(stream.get("allow_msg_ttl")),
        complete_kept=_kept(stream, METADATA_COMPLETE_KEPT),
        ended_kept=_kept(stream, METADATA_ENDED_KEPT),
    )


def _kept(stream: Config, key: str) -> float | None:
    """Read how long records are kept; what makes no sense says nothing, since no worker may stop for it."""
    try:
        kept = blueprint.read_number(str(stream.get("name")), stream.get("metadata") or {}, key)
    except TopologyMismatchError:
        return None
    return kept if kept >= SHORTEST_KEPT else None


_DECLARABLE: Final = ("max_age", "max_entries", "discard_old", "max_tries", "max_run_time", "max_concurrent", "lease")


def differences(queue: Queue, bound: BoundQueue) -> str:
    """
    Say which settings of a declaration are not in force, since the queue existed before.

    A setting that has its default in the declaration was hardly meant: a queue is often declared by its name alone.
    """
    default = Queue(queue.name)
    told: list[str] = []
    for name in _DECLARABLE:
        wanted = getattr(queue, name)
        if wanted == getattr(default, name) or (name == "lease" and (wanted is None or bound.made_by_go)):
            continue
        found = getattr(bound, name)
        if found != wanted:
            told.append(f"{name} is {found} and {wanted} was declared")
    return ", ".join(told)
