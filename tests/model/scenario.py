"""
scenario: one bounded configuration, and the rules that it runs under.
"""

from dataclasses import dataclass, field

from tests.model.parts import NOBODY, Rec

DESIGN = frozenset(
    {
        # whoever publishes an item and finds an older one replaces it if the record is runnable or active
        "republish_unless_done",
        # an operator's retry is refused while the task runs
        "retry_refuses_active",
        # an operator one of whose writes failed goes on with what it finds, as if it had written that
        "retry_remembers",
        # an operator's retry of a queued task writes nothing, and publishes the item if it is missing
        "retry_brings_queued",
        # a run with a cancel request that ends in an error ends cancelled
        "cancel_beats_retry",
        # the janitor publishes the item of an active record that has none, and never ends it
        "janitor_active",
        # the janitor misses a waiting record only if schedule, due message and item are all missing
        "wait_needs_both_missing",
        # the janitor lists schedules before items: what moves from one to the other is seen
        "schedules_first",
        # the janitor ends only what was missing in two passes running
        "two_passes",
        # the leader writes schedule_state after the occurrence's item
        "state_after",
        # a task that waits for another's end looks at that one's record before its claim
        "looks_before_its_turn",
    }
)
"""The rules as jetq has them."""

MISTAKES = frozenset(
    {
        # an item whose sequence is not the record's is dropped
        "stale_dropped",
        # no answer to "still running?" counts as no
        "no_answer_is_no",
        # a run that lost its lease acks
        "loser_acks",
        # a retry acks before it publishes the schedule
        "ack_first",
        # the marker of a released child goes before its item comes
        "unmark_first",
    }
)
"""Mistakes that an implementation might make."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """
    One bounded configuration.

    Attributes:
        actors: Kind and task of each actor besides the workers.
        recs, items, parents, markers: How the world is at the beginning.
        errors, max_tries: Whether handlers fail, and after how many tries a task ends.
        crash, forget, lost, total: How many faults of each kind there may be, and of all kinds.
        pause, late: Whether workers may be paused, and requests take effect late.
        timely: 1: a live actor between two requests is through within 30 s; 2: and before the janitor's next pass.
        janitor_heals: Tasks that were never acknowledged must come to an end as well.
        goal_expired: The task must end without having run.
        unique: The tasks have one key, and one of them at most is able to run.
        latest: The tasks have one key, and one of them at most is active, while another may wait for its end.
        holder: The task that has the key at the beginning.
        excused: From states in which an actor of this kind is dead, nothing is promised.
        purged: Somebody removed an item, so the janitor may end its task.
        expect: ``holds``, ``stuck`` (states without a way to the goal), or the beginning of the violated property.
        nightly: It takes too long for every run.
    """

    name: str
    about: str
    tasks: int = 1
    actors: tuple[tuple[str, int], ...] = ()
    recs: tuple[Rec | None, ...] = (None,)
    items: tuple[int, ...] = ()
    parents: dict[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])
    markers: int = 0
    acked: int = 0
    workers: int = 2
    errors: bool = False
    max_tries: int = 9
    crash: int = 2
    forget: int = 1
    lost: int = 1
    total: int = 9
    pause: bool = True
    late: bool = True
    timely: int = 0
    janitor_heals: bool = False
    goal_expired: bool = False
    unique: bool = False
    latest: bool = False
    holder: int = NOBODY
    excused: str = ""
    purged: bool = False
    rules: frozenset[str] = DESIGN
    expect: str = "holds"
    nightly: bool = False
