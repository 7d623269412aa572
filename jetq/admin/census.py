"""
census: what a pass of the janitor sees: what there is for each task, and for which tasks something is missing.

First the subjects are listed, in the order in which a schedule becomes a due message and that an item, so that nothing
slips through on its way. Then all records are read, and those are suspects whose state asks for what was not listed.
Nothing of this is one moment, and lists of many pages may have gaps; so a suspect is only that, and whoever mends looks
again.

A record is looked into as little as possible, and only suspects are kept: most records are final.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Raw, Struct

from jetq.errors import TopologyError
from jetq.jetstream.backend import Backend
from jetq.jetstream.blueprint import NANOSECONDS
from jetq.jetstream.bound_queue import read_queue
from jetq.jetstream.due_source import is_sourced
from jetq.jetstream.lookup import find_consumer, find_stream
from jetq.jetstream.queue_catalog import QueueCatalog
from jetq.jetstream.record_scan import ScannedRecord, measure_store, scan_keys, scan_records
from jetq.jetstream.subject_list import list_subjects
from jetq.model.record import ABSENT
from jetq.model.state import FINAL, State
from jetq.model.unique import KeyEntry
from jetq.model.upkeep import Horizon, Need, need_of
from jetq.wire.keys import decode_key
from jetq.wire.unreadable import UNREADABLE

MOST_KEPT: Final = 10_000
"""Records without a time to live that one pass gives one; a store that Go made is caught up with over some passes."""
_ROUNDS: Final = 5
"""Scans in a row, each over what was written during the one before."""

Places = dict[str, set[str]]
"""Task ids by queue."""


class QueueFacts(Struct, frozen=True):
    """
    What counts of a queue.

    Attributes:
        discards_old: When full, it drops its oldest item.
        max_entries: Items that it holds; 0 is unlimited.
        max_age: Seconds until an item is dropped; 0 keeps it.
        run_time: Seconds a task may run.
        sourced: What is due comes into it.
    """

    discards_old: bool = False
    max_entries: int = 0
    max_age: float = 0.0
    run_time: float = 0.0
    sourced: bool = True


class Suspect(Struct, frozen=True, gc=False):
    """
    A record whose item or schedule was not listed, as it stood when it was read.

    Attributes:
        overdue: Its schedule is there, and should long have become an item: the server forgot it, as nats-server 2.15
            does with what falls due while it has no space left.
    """

    task_id: str
    sequence: int
    queue: str
    need: Need
    overdue: bool = False


class HeldKey(Struct, frozen=True, gc=False):
    """The entry of a unique key, and the sequence of its message."""

    entry: KeyEntry
    sequence: int


class Census(Struct):
    """
    What was seen.

    Attributes:
        queues: Every queue.
        records: How many were read.
        suspects: Records that lack what they ask for.
        refused: Ids of records that say for good that an enqueue was refused.
        lasting: Ids of final records without a time to live, some of them.
        items: Items whose record was not seen.
        schedules, dues: Schedules and due messages that no waiting record asks for, it seems.
        keys: Unique keys whose task has ended or was not seen.
        flows: Those that a record names.
        unfed: Queues for which schedules or due messages wait, and into which the server brings nothing.
    """

    queues: dict[str, QueueFacts]
    items: Places
    schedules: Places
    dues: Places
    keys: dict[str, list[HeldKey]]
    records: int = 0
    suspects: list[Suspect] = []
    refused: list[str] = []
    lasting: list[str] = []
    flows: set[str] = set()
    unfed: list[str] = []


class _Glance(Struct, gc=False):
    """The fields of a record that a census looks at."""

    state: str = ""
    queue: str = ""
    due: Raw = ABSENT
    flow: str = ""


_glance: Final = msgspec.json.Decoder(_Glance).decode
_moment: Final = msgspec.json.Decoder(datetime).decode
_FINAL: Final = frozenset(state.value for state in FINAL)
_STATES: Final = {state.value: state for state in State}
_NULL: Final = b"null"


async def take_census(backend: Backend, horizon: Horizon, go_on: Callable[[], bool]) -> Census:
    """
    List and read everything.

    Args:
        backend: The server.
        horizon: Of the pass; younger records are no suspects.
        go_on: Asked between the steps; False ends the reading, and the census is of no use.

    Raises:
        ServerError: No answer, or a refusal.
    """
    connection, names = backend.connection, backend.names
    queues = await _read_queues(backend)
    schedules = await _listed(backend, names.schedules, f"{names.namespace}.S.*.*")
    dues = await _listed(backend, names.schedules, f"{names.namespace}.D.*.*")
    items: Places = {}
    for queue in queues:
        items |= await _listed(backend, names.queue(queue), names.items_subject(queue))
    census = Census(queues, items, schedules, dues, await _read_keys(backend))
    census.unfed = [name for name in queues if not queues[name].sourced and (name in schedules or name in dues)]
    reader = _Reader(census, horizon, expiring=backend.tasks.ttl_allowed)
    first = 1
    for _ in range(_ROUNDS):
        last = (await measure_store(connection, names)).last
        if first > last or not go_on():
            break
        await scan_records(connection, names, reader.visit, first=first, last=last)
        first = last + 1
    return census


async def _read_queues(backend: Backend) -> dict[str, QueueFacts]:
    names, connection = backend.names, backend.connection
    found: dict[str, QueueFacts] = {}
    for queue in await QueueCatalog(connection, names).list_names():
        stream = await find_stream(connection, names.queue(queue))
        if stream is None:
            continue
        config = stream["config"]
        consumer = await find_consumer(connection, names.queue(queue))
        try:
            run_time = 0.0 if consumer is None else read_queue(names, queue, config, consumer["config"]).max_run_time
        except TopologyError:
            run_time = 0.0
        found[queue] = QueueFacts(
            discards_old=config.get("discard") == "old",
            max_entries=max(0, config.get("max_msgs", 0)),
            max_age=config.get("max_age", 0) / NANOSECONDS,
            run_time=run_time,
            sourced=is_sourced(names, queue, config),
        )
    return found


async def _listed(backend: Backend, stream: str, subjects: str) -> Places:
    """Return the ids of the tasks that have a message, by queue; both are the last tokens of its subject."""
    places: Places = {}

    def take(subject: str) -> None:
        _, queue, task_id = subject.rsplit(".", 2)
        known = places.get(queue)
        if known is None:
            known = places[queue] = set()
        known.add(task_id)

    await list_subjects(backend.connection, stream, subjects, take)
    return places


async def _read_keys(backend: Backend) -> dict[str, list[HeldKey]]:
    keys: dict[str, list[HeldKey]] = {}

    def visit(sequence: int, data: bytes) -> None:
        entry = decode_key(data)
        if entry.task and not entry.period:
            keys.setdefault(entry.task, []).append(HeldKey(entry, sequence))

    await scan_keys(backend.connection, backend.names, visit)
    return keys


_NONE: Final[set[str]] = set()


class _Reader:
    """Takes the records, one after the other."""

    def __init__(self, census: Census, horizon: Horizon, *, expiring: bool) -> None:
        self._census = census
        self._overdue = horizon.young
        self._young = _nanoseconds(horizon.young)
        self._expiring = expiring

    def visit(self, scanned: ScannedRecord) -> None:
        census, task_id = self._census, scanned.task_id
        census.records += 1
        try:
            glance = _glance(scanned.data)
        except UNREADABLE:
            self._pass_over(task_id)
            return
        state, queue = glance.state, glance.queue
        if glance.flow:
            census.flows.add(glance.flow)
        items = census.items.get(queue, _NONE)
        has_item = task_id in items
        if has_item:
            items.remove(task_id)
        if state in _FINAL:
            self._look_at_final(scanned)
            return
        if census.keys and state != State.QUEUE_ERROR.value:
            census.keys.pop(task_id, None)
        waits = bool(glance.due) and bytes(glance.due) != _NULL
        has_schedule = self._has_schedule(queue, task_id, waits=waits)
        has_due = self._has_due(queue, task_id)
        if scanned.written > self._young or state not in _STATES:
            return
        need = need_of(_STATES[state], waits=waits)
        if state == State.QUEUE_ERROR.value and not scanned.expires:
            census.refused.append(task_id)
        elif need is not Need.NOTHING and not (has_item or has_due):
            overdue = has_schedule and need is Need.SCHEDULE
            if not overdue or self._is_overdue(glance.due):
                census.suspects.append(Suspect(task_id, scanned.sequence, queue, need, overdue))

    def _is_overdue(self, due: Raw) -> bool:
        try:
            return _moment(due) < self._overdue
        except (msgspec.MsgspecError, TypeError):  # none, or one without a zone
            return False

    def _has_schedule(self, queue: str, task_id: str, *, waits: bool) -> bool:
        """Whether there is a schedule; one of a task that does not wait is left among the others."""
        schedules = self._census.schedules.get(queue, _NONE)
        found = task_id in schedules
        if found and waits:
            schedules.remove(task_id)
        return found

    def _has_due(self, queue: str, task_id: str) -> bool:
        """Whether there is a due message; it may bring a task that does not wait into a queue that is full."""
        dues = self._census.dues.get(queue, _NONE)
        found = task_id in dues
        if found:
            dues.remove(task_id)
        return found

    def _look_at_final(self, scanned: ScannedRecord) -> None:
        lasting = self._census.lasting
        if not scanned.expires and self._expiring and scanned.written <= self._young and len(lasting) < MOST_KEPT:
            lasting.append(scanned.task_id)

    def _pass_over(self, task_id: str) -> None:
        """Leave all that belongs to what is no record: its worker tells of it, and removes its item."""
        census = self._census
        for places in (census.items, census.schedules, census.dues):
            for known in places.values():
                known.discard(task_id)
        census.keys.pop(task_id, None)


def _nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NANOSECONDS + since.microseconds * 1000


def stray(places: Places) -> list[tuple[str, str]]:
    """Return queue and task id of what is left."""
    return [(queue, task_id) for queue, known in places.items() for task_id in known]
