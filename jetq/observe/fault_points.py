"""
fault_points: places at which a test stops the process, or its connection, to see what the others make of it.

Each is an arrow of a crash-point table (`client.enqueue`, `worker.settler`, ...). A program arms one with what is to be
done there; nothing else does, and what is not armed costs a look at an empty mapping.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final


class Point(StrEnum):
    """Every place; the value names what has just happened."""

    RECORD_STORED = "enqueue: the record is acknowledged"
    ITEM_STORED = "enqueue: the item is acknowledged"
    KEY_TAKEN = "enqueue: the unique key is taken"
    KEY_LOST = "enqueue: another task has the unique key, and the own record is still there"
    PAYLOAD_REPLACED = "enqueue: the task that waits has the new payload in its record"
    CHILD_MARKED = "dependency: the marker of a child is acknowledged"
    CHILD_STORED = "dependency: the blocked record of a child is acknowledged"
    PARENT_INFORMED = "dependency: a parent's record names its child"
    PARENT_COUNTED = "dependency: a child has counted parents that ended"
    CHILD_PLACED = "dependency: the item of a released child is acknowledged"
    CHILD_UNMARKED = "dependency: the marker of a child is removed"
    FLOW_CREATED = "flow: its message says that it is being built"
    FLOW_MARKED = "flow: the markers of all its tasks are acknowledged"
    FLOW_PART_STORED = "flow: a part of its records is acknowledged"
    FLOW_STORED = "flow: all its records are acknowledged"
    FLOW_COMMITTED = "flow: its message says that it is committed"
    ROOTS_RELEASED = "flow: the records of tasks that wait for nobody are runnable"
    ROOTS_PLACED = "flow: the items of tasks that wait for nobody are acknowledged"
    FLOW_ABORTED = "flow: its message says that it is aborted"
    NODE_ABANDONED = "flow: the record of a task of an aborted flow has ended"
    OCCURRENCE_STORED = "schedule: the records of occurrences are acknowledged"
    OCCURRENCE_QUEUED = "schedule: the items of occurrences are acknowledged"
    RECORD_CHANGED = "operator: the changed record is acknowledged"
    CHANGE_PLACED = "operator: what the changed record asks for is acknowledged"
    ITEM_DELIVERED = "worker: an item was delivered"
    RUN_CLAIMED = "worker: the claim is acknowledged"
    HANDLER_ENDED = "worker: the handler ended"
    END_STORED = "worker: the closing record is acknowledged"
    SCHEDULE_STORED = "worker: the schedule of a wait is acknowledged"
    KEY_FREED = "worker: the unique key of an ended task is freed"
    RECORD_DISCARDED = "worker: the record of an ended task that is not kept is about to expire"
    AFTER_EFFECTS_DONE = "worker: the after-effects are done"
    ITEM_REMOVED = "worker: the item was acknowledged"
    CRASH_STORED = "worker: the record of a dead child's task is acknowledged"


_armed: Final[dict[Point, Callable[[], None]]] = {}


def fault_point(point: Point) -> None:
    """Do what *point* is armed with."""
    if _armed and (act := _armed.get(point)) is not None:
        act()


def arm(point: Point, act: Callable[[], None]) -> Callable[[], None]:
    """Let *act* be done whenever the process passes *point*; the returned function ends that."""
    _armed[point] = act

    def disarm() -> None:
        _armed.pop(point, None)

    return disarm
