"""
blueprint: the streams, buckets and consumers of jetq, as the server's JSON.

Two things are said of each: how it is made, and what one that somebody else made must have for jetq to work with it.
What is said of neither may differ freely. All of this is pure; :mod:`jetq.jetstream.topology` carries it out.

The JSON is our own and not nats-py's configuration classes, which drop the fields that they do not know, also when
they only read a stream in order to change another field.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from jetq.errors import TopologyMismatchError
from jetq.jetstream.due_source import due_source, is_sourced, sources
from jetq.model.quantity import seconds
from jetq.settings import Queue, Storage, StoreSettings
from jetq.wire.names import (
    GO_NAMESPACE,
    METADATA_LEASE,
    METADATA_MAX_RUN_TIME,
    METADATA_MAX_TRIES,
    WORKERS,
    Names,
)

Config = dict[str, Any]

NANOSECONDS: Final = 1_000_000_000
ELECTION_TTL: Final = 10.0
"""Seconds until a leader that does not renew is followed by another; the least that asyncjobs takes."""
_DUPLICATE_WINDOW: Final = 120.0
"""Seconds; the server's own, which may not be longer than what a stream keeps."""
MAX_WAITING: Final = 10_000
"""Pull requests that may wait at a consumer. The server's 512 would bound the number of workers, and for good: it is
the one limit that cannot be changed later."""


class Rule(Struct, frozen=True):
    """What a field must be for jetq to work; *wanted* says so in words."""

    field: str
    works: Callable[[Any], bool]
    wanted: str


class Addition(Struct, frozen=True):
    """
    What jetq adds to a bound stream that lacks it.

    Attributes:
        what: In words.
        lacking: The changes to a configuration that lacks it; empty for one that has it.
        without: What follows if it cannot be added, for a stream that is of use without it; empty if it is of none.
    """

    what: str
    lacking: Callable[[Config], Config]
    without: str = ""


class Plan(Struct, frozen=True):
    """A stream: how it is made, what a bound one must have, what is added to it."""

    config: Config
    rules: tuple[Rule, ...]
    additions: tuple[Addition, ...] = ()

    @property
    def name(self) -> str:
        """The stream's name."""
        return str(self.config["name"])


def check(name: str, rules: tuple[Rule, ...], config: Config) -> None:
    """
    Compare a configuration with what it must have.

    Raises:
        TopologyMismatchError: jetq cannot work with it; names the first field, its value and what would work.
    """
    for rule in rules:
        value = config.get(rule.field)
        if not rule.works(value):
            raise TopologyMismatchError(name, rule.field, value, rule.wanted)


def covers(pattern: str, subject: str) -> bool:
    """Tell whether every subject that *subject* stands for, wildcards and all, matches *pattern*."""
    have, want = pattern.split("."), subject.split(".")
    for place, part in enumerate(have):
        if place >= len(want):
            return False
        if part == ">":
            return True
        if want[place] == ">" or part not in ("*", want[place]):
            return False
    return len(have) == len(want)


def _is(field: str, wanted: object) -> Rule:
    def works(value: Any) -> bool:
        return bool(value == wanted)

    return Rule(field, works, repr(wanted))


def _unset(value: Any) -> bool:
    return not value


def _unbounded(value: Any) -> bool:
    return value in (None, 0, -1)


def _bounded(value: Any) -> bool:
    return not _unbounded(value)


def _off(field: str) -> Rule:
    return Rule(field, _unset, "False")


def _absent(field: str) -> Rule:
    return Rule(field, _unset, "none")


def _unlimited(field: str) -> Rule:
    return Rule(field, _unbounded, "no limit")


def _subjects(*wanted: str) -> Rule:
    def works(value: Any) -> bool:
        return all(any(covers(pattern, subject) for pattern in value or ()) for subject in wanted)

    return Rule("subjects", works, " and ".join(wanted))


_FED: Final = (_absent("mirror"), _absent("subject_transform"), _off("sealed"))
_WRITABLE: Final = (*_FED, _off("no_ack"))
_KEYED: Final = (*_WRITABLE, _is("max_msgs_per_subject", 1), _off("discard_new_per_subject"))
"""One message a subject, that the next one replaces."""


def _enabled(field: str, what: str, without: str = "") -> Addition:
    def lacking(config: Config) -> Config:
        return {} if config.get(field) else {field: True}

    return Addition(what, lacking, without)


def task_store(names: Names, settings: StoreSettings) -> Plan:
    """Plan the stream of records: one message a task, kept until its time to live is over."""
    config = _stream(names.tasks, [names.records_subject], "limits", settings.storage, settings.replicas)
    config |= {"description": "jetq: task records", "allow_msg_ttl": True, "allow_direct": True}
    rules = (*_KEYED, _is("retention", "limits"), _subjects(names.records_subject))
    without = "the records of ended tasks are kept as long as the store keeps anything"
    return Plan(config, rules, (_enabled("allow_msg_ttl", "message TTL", without),))


def event_store(names: Names, storage: Storage, replicas: int, *, kept: float, max_bytes: int | None) -> Plan:
    """
    Plan the stream that keeps events: whatever is told, for *kept* seconds, the oldest dropped where it gets too large.

    Events are told without waiting for an acknowledgement, so it must not refuse any: it drops.
    """
    config = _stream(names.events, names.kept_events_subjects, "limits", storage, replicas)
    config |= {"description": "jetq: events", "max_msgs_per_subject": -1, "allow_direct": True}
    rules = (*_FED, _is("retention", "limits"), _subjects(names.kept_events_subjects[0]))
    return Plan(kept_events(config, kept=kept, max_bytes=max_bytes), rules)


def kept_events(config: Config, *, kept: float, max_bytes: int | None) -> Config:
    """
    Return the configuration of the stream of events with other bounds.

    Args:
        config: Its configuration.
        kept: Seconds.
        max_bytes: 0 is unlimited; None leaves it as it is.
    """
    age = _nanoseconds(kept)
    changed = config | {"max_age": age, "duplicate_window": min(age, _nanoseconds(_DUPLICATE_WINDOW))}
    return changed if max_bytes is None else changed | {"max_bytes": max_bytes or -1}


def shared_streams(names: Names, storage: Storage, replicas: int) -> list[Plan]:
    """Plan everything beside the task store that a namespace has once, with the store's storage and replicas."""
    return [
        _schedules(names, storage, replicas),
        _index(names.keys, "unique keys", [names.keys_subject], storage, replicas),
        _index(names.links, "dependencies and flows", names.links_subjects, storage, replicas),
        _bucket(names.configuration, "stored schedules", storage, replicas),
        _elections(names, storage, replicas),
        presence(names, replicas),
    ]


def _stream(name: str, subjects: list[str], retention: str, storage: Storage, replicas: int) -> Config:
    return {
        "name": name,
        "subjects": subjects,
        "retention": retention,
        "discard": "old",
        "max_msgs_per_subject": 1,
        "storage": storage,
        "num_replicas": replicas,
    }


def _schedules(names: Names, storage: Storage, replicas: int) -> Plan:
    subjects = names.schedules_subjects
    config = _stream(names.schedules, subjects, "workqueue", storage, replicas)
    config |= {"description": "jetq: tasks that wait for their time", "allow_msg_schedules": True}
    rules = (
        *_KEYED,
        _is("retention", "workqueue"),
        _subjects(*(subject.replace(">", "*.*") for subject in subjects)),
        _is("discard", "old"),
        _unlimited("max_age"),
        _unlimited("max_msgs"),
    )
    return Plan(config, rules, (_enabled("allow_msg_schedules", "message schedules"),))


def _index(name: str, purpose: str, subjects: list[str], storage: Storage, replicas: int) -> Plan:
    config = _stream(name, subjects, "limits", storage, replicas)
    config |= {"description": f"jetq: {purpose}", "allow_msg_ttl": True}
    rules = (*_KEYED, _is("retention", "limits"), _subjects(*subjects))
    return Plan(config, rules, (_enabled("allow_msg_ttl", "message TTL"),))


def _bucket(bucket: str, purpose: str, storage: Storage, replicas: int) -> Plan:
    """Plan a bucket as every NATS client makes it, but read from its leader: what is read there decides something."""
    subject = Names.bucket_subject(bucket)
    config = _stream(Names.bucket_stream(bucket), [subject], "limits", storage, replicas)
    config |= {
        "description": f"jetq: {purpose}",
        "discard": "new",
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": False,
    }
    return Plan(config, (*_WRITABLE, _is("retention", "limits"), _subjects(subject)))


def _elections(names: Names, storage: Storage, replicas: int) -> Plan:
    plan = _bucket(names.elections, "elections", storage, replicas)
    config = plan.config | {"max_age": _nanoseconds(ELECTION_TTL), "duplicate_window": _nanoseconds(ELECTION_TTL)}
    return Plan(config, (*plan.rules, Rule("max_age", _bounded, "a TTL of 10 s to 1 h")))


def presence(names: Names, replicas: int) -> Plan:
    """Plan the bucket of workers' presence: in memory, since what a crash of the server forgets is written anew."""
    plan = _bucket(names.workers, "presence of workers", "memory", replicas)
    return Plan(plan.config | {"allow_msg_ttl": True}, plan.rules, (_enabled("allow_msg_ttl", "message TTL"),))


def queue_stream(names: Names, queue: Queue, settings: StoreSettings) -> Plan:
    """
    Plan a queue: one item a task, taken out by its acknowledgement, filled by clients and from the due schedules.

    Schedules cannot live in this stream itself: the server takes none beside ``discard: new``.
    """
    stream, subject = names.queue(queue.name), names.items_subject(queue.name)
    storage, replicas = queue.storage or settings.storage, queue.replicas or settings.replicas
    config = _stream(stream, [subject], "workqueue", storage, replicas)
    config |= {
        "description": f"jetq: queue {queue.name}",
        "discard": "old" if queue.discard_old else "new",
        "max_msgs": queue.max_entries or -1,
        "max_age": 0 if queue.max_age is None else _nanoseconds(seconds("Queue.max_age", queue.max_age)),
        "sources": [due_source(names, queue.name)],
    }
    rules = (*_KEYED, _is("retention", "workqueue"), _subjects(subject.replace(">", "*")))
    without = "delayed tasks and retries wait until somebody adds it"
    return Plan(config, rules, (Addition("its source of due tasks", _unsourced(names, queue.name), without),))


def _unsourced(names: Names, queue: str) -> Callable[[Config], Config]:
    def lacking(config: Config) -> Config:
        return {} if is_sourced(names, queue, config) else {"sources": [*sources(config), due_source(names, queue)]}

    return lacking


def is_shared(names: Names, lease: object) -> bool:
    """Tell whether a queue is made as Go reads it: run time in ``ack_wait``, tries in ``max_deliver``."""
    return lease is None or names.namespace == GO_NAMESPACE


def queue_consumer(names: Names, queue: Queue) -> Config:
    """Plan the consumer that all workers of a queue pull from."""
    config: Config = {
        "name": WORKERS,
        "durable_name": WORKERS,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "filter_subject": names.items_subject(queue.name),
        "max_ack_pending": queue.max_concurrent,
        "max_waiting": MAX_WAITING,
    }
    lease = None if is_shared(names, queue.lease) else queue.lease_time
    return config | consumer_times(run_time=queue.run_time, max_tries=queue.max_tries, lease=lease)


def consumer_times(*, run_time: float, max_tries: int, lease: float | None) -> Config:
    """
    Return the fields of a consumer that say how long and how often a task may run.

    Args:
        run_time: Seconds a task may run.
        max_tries: 0 is unlimited.
        lease: Seconds; None for a queue that is shared with Go, whose consumer then says nothing of jetq: what Go
            changes there could not be told from what jetq wrote beside it.
    """
    if lease is None:
        return {"ack_wait": _nanoseconds(run_time), "max_deliver": max_tries or -1, "metadata": {}}
    return {
        "ack_wait": _nanoseconds(lease),
        "max_deliver": -1,
        "metadata": {
            METADATA_MAX_RUN_TIME: number(run_time),
            METADATA_MAX_TRIES: number(max_tries),
            METADATA_LEASE: number(lease),
        },
    }


def consumer_rules(names: Names, queue: str) -> tuple[Rule, ...]:
    """Say what a bound consumer must have."""
    items = names.items_subject(queue).replace(">", "*")

    def filtered(value: Any) -> bool:
        return not value or covers(value, items)

    return (
        _is("ack_policy", "explicit"),
        _absent("deliver_subject"),
        Rule("filter_subject", filtered, items),
        _absent("filter_subjects"),
        _absent("backoff"),
        _off("headers_only"),
        _absent("priority_groups"),
        _unlimited("max_batch"),
        _unlimited("max_expires"),
        _unlimited("max_bytes"),
    )


def _nanoseconds(duration: float) -> int:
    return round(duration * NANOSECONDS)


def number(value: float) -> str:
    """Spell a number of seconds or tries as metadata: decimal, without exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".") if value else "0"


def read_number(consumer: str, metadata: Mapping[str, str], key: str) -> float:
    """
    Read a number from metadata.

    Raises:
        TopologyMismatchError: There is none, or it is no number of 0 or more.
    """
    text = metadata.get(key)
    try:
        value = float(text or "")
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise TopologyMismatchError(consumer, f"metadata {key}", text, "a number of 0 or more")
    return value
