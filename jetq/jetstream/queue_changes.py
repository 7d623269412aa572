"""
queue_changes: limits of a queue that are to be changed, and what that makes of its stream and its consumer.
"""

import msgspec
from msgspec import Struct

from jetq.errors import InvalidSettingError
from jetq.jetstream.blueprint import NANOSECONDS, Config, consumer_times
from jetq.jetstream.bound_queue import BoundQueue
from jetq.jetstream.store_changes import replicated
from jetq.model.quantity import Duration, seconds, whole
from jetq.settings import MIN_LEASE


class QueueChanges(Struct, frozen=True, kw_only=True):
    """
    Limits to change; None leaves one as it is.

    Attributes:
        max_age: Seconds; 0 keeps items for ever.
        max_entries: 0 is unlimited.
        discard_old: A full queue drops its oldest item in place of refusing the new one.
        max_tries: 0 is unlimited.
        max_run_time: Seconds.
        max_concurrent: Tasks that may run at one time.
        lease: Seconds. Workers learn of it when they start: one that began with a lease three times as long, or longer,
            would renew too late and lose its tasks, so stop the workers before you shorten it as much.
        replicas: Copies in a cluster, 1 to 5. When the first copies are made, the server takes nothing for the queue
            for some ten seconds (seen with 2.15.1, for a stream with a consumer); who enqueues then waits.
    """

    max_age: Duration | None = None
    max_entries: int | None = None
    discard_old: bool | None = None
    max_tries: int | None = None
    max_run_time: Duration | None = None
    max_concurrent: int | None = None
    lease: Duration | None = None
    replicas: int | None = None

    def checked(self) -> "QueueChanges":
        """
        Return the changes with durations in seconds.

        Raises:
            InvalidSettingError: A limit has a value that cannot be used.
        """
        if self.max_entries is not None:
            whole("max_entries", self.max_entries, least=0)
        if self.max_tries is not None:
            whole("max_tries", self.max_tries, least=0)
        if self.max_concurrent is not None:
            whole("max_concurrent", self.max_concurrent, least=1)
        if self.replicas is not None:
            whole("replicas", self.replicas, least=1, most=5)
        age = _duration("max_age", self.max_age, 0.0)
        if age is not None and 0 < age < 1:
            raise InvalidSettingError("max_age", self.max_age, "0, or a duration of at least 1 s")
        return msgspec.structs.replace(
            self,
            max_age=age,
            max_run_time=_duration("max_run_time", self.max_run_time, MIN_LEASE),
            lease=_duration("lease", self.lease, MIN_LEASE),
        )


def _duration(setting: str, value: Duration | None, least: float) -> float | None:
    return None if value is None else seconds(setting, value, least=least)


def changed_stream(config: Config, changes: QueueChanges) -> Config:
    """Return the configuration of a queue's stream with checked *changes*."""
    changed = replicated(config, changes.replicas)
    if changes.max_entries is not None:
        changed["max_msgs"] = changes.max_entries or -1
    if changes.discard_old is not None:
        changed["discard"] = "old" if changes.discard_old else "new"
    if changes.max_age is not None:
        age = round(seconds("max_age", changes.max_age) * NANOSECONDS)
        changed["max_age"] = age
        if age and config.get("duplicate_window", 0) > age:  # the server wants it no longer than that
            changed["duplicate_window"] = age
    return changed


def changed_consumer(config: Config, bound: BoundQueue, changes: QueueChanges) -> Config:
    """
    Return the configuration of a queue's consumer with checked *changes*.

    Raises:
        InvalidSettingError: A lease for a queue in the form that Go reads.
    """
    if bound.made_by_go and changes.lease is not None:
        raise InvalidSettingError(
            "lease", changes.lease, "absent: the queue is made for Go programs, whose lease is the run time"
        )
    changed = dict(config)
    if changes.max_concurrent is not None:
        changed["max_ack_pending"] = changes.max_concurrent
    run_time = bound.max_run_time if changes.max_run_time is None else seconds("max_run_time", changes.max_run_time)
    lease = bound.lease if changes.lease is None else seconds("lease", changes.lease)
    max_tries = bound.max_tries if changes.max_tries is None else changes.max_tries
    times = consumer_times(run_time=run_time, max_tries=max_tries, lease=None if bound.made_by_go else lease)
    metadata: dict[str, str] = config.get("metadata") or {}
    return changed | times | {"metadata": metadata | times["metadata"]}
