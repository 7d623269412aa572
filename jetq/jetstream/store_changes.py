"""
store_changes: what is to be changed about a task store while it is in use, and what that makes of its streams.

How long records are kept stands in the metadata of the store's stream, where workers read it twice a minute
(`jetq.jetstream.retention`). A store with an age limit of its own, as Go makes it, drops every record at that age,
whatever its state; there the limit is changed as well.
"""

import msgspec
from msgspec import Struct

from jetq.errors import InvalidSettingError
from jetq.jetstream.blueprint import NANOSECONDS, Config, number
from jetq.model.quantity import Duration, seconds, whole
from jetq.settings import SHORTEST_KEPT
from jetq.wire.names import METADATA_COMPLETE_KEPT, METADATA_ENDED_KEPT


class StoreChanges(Struct, frozen=True, kw_only=True):
    """
    Settings to change; None leaves one as it is.

    Attributes:
        retention: Seconds that the records of ended tasks are kept; both of the following, where they are not given.
        complete_kept: Seconds that the record of a complete task is kept; 0 is the default again.
        ended_kept: Seconds that the record of any other ended task is kept; 0 is the default again.
        replicas: Copies of every stream and bucket beside the queues, 1 to 5.
    """

    retention: Duration | None = None
    complete_kept: Duration | None = None
    ended_kept: Duration | None = None
    replicas: int | None = None

    def checked(self) -> "StoreChanges":
        """
        Return the changes with durations in seconds.

        Raises:
            InvalidSettingError: A value cannot be used.
        """
        if self.replicas is not None:
            whole("replicas", self.replicas, least=1, most=5)
        return msgspec.structs.replace(
            self,
            retention=_kept("retention", self.retention),
            complete_kept=_kept("complete_kept", self.complete_kept),
            ended_kept=_kept("ended_kept", self.ended_kept),
        )


def _kept(setting: str, value: Duration | None) -> float | None:
    if value is None:
        return None
    kept = seconds(setting, value)
    if 0 < kept < SHORTEST_KEPT:
        raise InvalidSettingError(setting, value, f"0, or a duration of at least {SHORTEST_KEPT:g} s")
    return kept


def changed_store(config: Config, changes: StoreChanges) -> Config:
    """Return the configuration of the stream of records with checked *changes*."""
    changed = replicated(config, changes.replicas)
    metadata: dict[str, str] = dict(config.get("metadata") or {})
    both = changes.retention
    for key, said in ((METADATA_COMPLETE_KEPT, changes.complete_kept), (METADATA_ENDED_KEPT, changes.ended_kept)):
        kept = both if said is None else said
        if kept:
            metadata[key] = number(seconds(key, kept))
        elif kept is not None:
            metadata.pop(key, None)
    if metadata != (config.get("metadata") or {}):
        changed |= {"metadata": metadata, "allow_msg_ttl": True}
    if both and config.get("max_age"):
        age = round(seconds("retention", both) * NANOSECONDS)
        changed |= {"max_age": age, "duplicate_window": min(age, config.get("duplicate_window") or age)}
    return changed


def replicated(config: Config, replicas: int | None) -> Config:
    """Return the configuration of a stream with so many copies; None leaves them."""
    return dict(config) if replicas is None else config | {"num_replicas": replicas}
