"""
scenarios: what is walked, and what is expected of it.

Three kinds: the design as it stands, which must hold; its limits, which are known and must show; and mutants, the
design without one of its rules or with a mistake, each of which must be found (that shows that the search can fail).
"""

from typing import Any, Final

from tests.model.parts import BLOCKED, NEW, RETRY, Rec
from tests.model.scenario import DESIGN, Scenario

PRODUCER, OPERATOR, CANCELLER, JANITOR = ("producer", 0), ("operator", 0), ("canceller", 0), ("janitor", 0)
CHILD, PASS = ("child", 1), ("pass", 0)
KEYED = ("unique", 0), ("unique", 1)

NEW_RECORD = Rec(1, NEW)
QUEUED: dict[str, Any] = {"recs": (NEW_RECORD,), "items": (0,), "acked": 1}
FAILING: dict[str, Any] = {"errors": True, "max_tries": 2}
MOVING: dict[str, Any] = {"errors": True, "max_tries": 3, "moves": True}
PLAIN: dict[str, Any] = {"pause": False, "late": False}
"""No pauses, no late requests: what is left fits into a run."""
JANITED: dict[str, Any] = {"janitor_heals": True, **PLAIN}
BORN: dict[str, Any] = {
    "tasks": 2,
    "recs": (NEW_RECORD, None),
    "items": (0,),
    "acked": 1,
    "parents": {1: (0,)},
}
KEYED_FIRST: dict[str, Any] = {
    "tasks": 2,
    "recs": (NEW_RECORD, None),
    "items": (0,),
    "acked": 1,
    "latest": True,
    "holder": 0,
}
SUPERSEDED: dict[str, Any] = {
    **KEYED_FIRST,
    "recs": (Rec(1, RETRY, tries=1), Rec(1, NEW, due=1, after=0)),
    "items": (0, 1),
    "acked": 3,
    "holder": 1,
    **FAILING,
}
WAITING: dict[str, Any] = {
    "tasks": 2,
    "recs": (Rec(1, NEW, deps=2), Rec(1, BLOCKED, pend=1)),
    "items": (0,),
    "acked": 3,
    "markers": 2,
    "parents": {1: (0,)},
}
TWO_PARENTS: dict[str, Any] = {
    "tasks": 3,
    "recs": (Rec(1, NEW, deps=4), Rec(1, NEW, deps=4), Rec(1, BLOCKED, pend=3)),
    "items": (0, 1),
    "acked": 7,
    "markers": 4,
    "parents": {2: (0, 1)},
}

HOLDS = [
    Scenario(name="success", about="a producer; 2 crashes, 1 forgotten lease, 1 lost answer", actors=(PRODUCER,)),
    Scenario(
        name="retry", about="the first try fails; any 2 faults", actors=(PRODUCER,), **FAILING, total=2, nightly=True
    ),
    Scenario(name="retry-3", about="retry; any 3 faults", actors=(PRODUCER,), **FAILING, total=3, nightly=True),
    Scenario(name="cancel", about="a cancel at any moment; any 2 faults", actors=(PRODUCER, CANCELLER), total=2),
    Scenario(name="cancel-3", about="cancel; any 3 faults", actors=(PRODUCER, CANCELLER), total=3, nightly=True),
    Scenario(
        name="cancel-retry", about="retry and a cancel; no fault", actors=(PRODUCER, CANCELLER), **FAILING, total=0
    ),
    Scenario(
        name="cancel-retry-2",
        about="retry and a cancel; any 2 faults",
        actors=(PRODUCER, CANCELLER),
        **FAILING,
        total=2,
        nightly=True,
    ),
    Scenario(
        name="operator",
        about="an operator's retry at any moment; any 1 fault but the operator's death",
        actors=(PRODUCER, OPERATOR),
        total=1,
        excused="operator",
    ),
    Scenario(
        name="operator-2",
        about="operator; any 2 faults",
        actors=(PRODUCER, OPERATOR),
        total=2,
        excused="operator",
        nightly=True,
    ),
    Scenario(
        name="operator-retry",
        about="retry and an operator's retry; any 1 fault",
        actors=(PRODUCER, OPERATOR),
        **FAILING,
        total=1,
        excused="operator",
        nightly=True,
    ),
    Scenario(
        name="operator-janitor",
        about="a queued task, an operator's retry, the janitor; live actors are through in 30 s; any 2 faults",
        actors=(OPERATOR, JANITOR),
        **QUEUED,
        **JANITED,
        total=2,
        timely=1,
        nightly=True,
    ),
    Scenario(
        name="operator-janitor-1",
        about="operator-janitor; any 1 fault",
        actors=(OPERATOR, JANITOR),
        **QUEUED,
        **JANITED,
        total=1,
        timely=1,
    ),
    Scenario(
        name="keys",
        about="two producers, one key; any 1 fault",
        tasks=2,
        recs=(None, None),
        actors=KEYED,
        unique=True,
        total=1,
        nightly=True,
    ),
    Scenario(
        name="keys-2",
        about="keys; any 2 faults",
        tasks=2,
        recs=(None, None),
        actors=KEYED,
        unique=True,
        total=2,
        nightly=True,
    ),
    Scenario(
        name="keys-janitor",
        about="keys and the janitor; live actors are through in 30 s; no fault",
        tasks=2,
        recs=(None, None),
        actors=(*KEYED, JANITOR),
        unique=True,
        total=0,
        timely=1,
        janitor_heals=True,
    ),
    Scenario(
        name="keys-janitor-1",
        about="keys-janitor; 1 crash",
        tasks=2,
        recs=(None, None),
        actors=(*KEYED, JANITOR),
        unique=True,
        total=1,
        timely=1,
        forget=0,
        lost=0,
        pause=False,
        janitor_heals=True,
        nightly=True,
    ),
    Scenario(
        name="latest",
        about="a keyed task in its queue, and a producer of the latest; any 1 fault but pauses and late requests",
        **KEYED_FIRST,
        **PLAIN,
        actors=(("latest", 1),),
        total=1,
    ),
    Scenario(
        name="latest-1",
        about="latest; any 1 fault",
        **KEYED_FIRST,
        actors=(("latest", 1),),
        total=1,
        nightly=True,
    ),
    Scenario(
        name="latest-2",
        about="latest; any 2 faults",
        **KEYED_FIRST,
        **PLAIN,
        actors=(("latest", 1),),
        total=2,
        nightly=True,
    ),
    Scenario(
        name="latest-retry",
        about="one that failed, and the latest behind it; no fault",
        **SUPERSEDED,
        total=0,
        nightly=True,
    ),
    Scenario(
        name="latest-retry-1",
        about="latest-retry; any 1 fault",
        **SUPERSEDED,
        **PLAIN,
        total=1,
        nightly=True,
    ),
    Scenario(
        name="latest-two",
        about="two producers of the latest; no fault",
        **KEYED_FIRST | {"tasks": 3, "recs": (NEW_RECORD, None, None)},
        actors=(("latest", 1), ("latest", 2)),
        total=0,
        nightly=True,
    ),
    Scenario(
        name="child",
        about="a child is enqueued while its parent runs; safety pass; no fault",
        **BORN,
        actors=(CHILD, PASS),
        total=0,
    ),
    Scenario(name="child-1", about="child; any 1 fault", **BORN, actors=(CHILD, PASS), total=1, nightly=True),
    Scenario(name="child-2", about="child; any 2 faults", **BORN, **PLAIN, actors=(CHILD, PASS), total=2, nightly=True),
    Scenario(
        name="child-cancel",
        about="child, and its parent is cancelled; no fault",
        **BORN,
        actors=(CHILD, PASS, CANCELLER),
        total=0,
        nightly=True,
    ),
    Scenario(name="child-waits", about="a waiting child, NO safety pass; any 1 fault", **WAITING, total=1),
    Scenario(name="child-waits-2", about="child-waits; any 2 faults", **WAITING, total=2, nightly=True),
    Scenario(
        name="child-waits-cancel",
        about="child-waits, its parent is cancelled, safety pass; any 1 fault",
        **WAITING,
        actors=(CANCELLER, PASS),
        total=1,
        nightly=True,
    ),
    Scenario(
        name="two-parents",
        about="two parents end at once; safety pass; no fault",
        **TWO_PARENTS,
        actors=(PASS,),
        total=0,
    ),
    Scenario(name="two-parents-1", about="two-parents, NO safety pass; any 1 fault", **TWO_PARENTS, **PLAIN, total=1),
    Scenario(
        name="janitor",
        about="a producer and the janitor; any 1 fault",
        actors=(PRODUCER, JANITOR),
        janitor_heals=True,
        total=1,
    ),
    Scenario(
        name="janitor-2",
        about="janitor; any 2 faults",
        actors=(PRODUCER, JANITOR),
        janitor_heals=True,
        total=2,
        nightly=True,
    ),
    Scenario(
        name="janitor-retry",
        about="retry and the janitor; actors may stall; any 1 fault",
        actors=(JANITOR,),
        **QUEUED,
        **FAILING,
        **JANITED,
        total=1,
    ),
    Scenario(
        name="janitor-retry-2",
        about="janitor-retry; any 2 faults",
        actors=(JANITOR,),
        **QUEUED,
        **FAILING,
        **JANITED,
        total=2,
        nightly=True,
    ),
    Scenario(
        name="janitor-birth",
        about="janitor-retry, from the enqueue on; any 1 fault",
        actors=(PRODUCER, JANITOR),
        **FAILING,
        **JANITED,
        total=1,
        nightly=True,
    ),
    Scenario(
        name="purged",
        about="an item was removed: the janitor ends the record",
        actors=(JANITOR,),
        recs=(Rec(1, NEW, age=2),),
        acked=1,
        total=0,
        purged=True,
        goal_expired=True,
    ),
    Scenario(
        name="moves",
        about="a task moves to another queue when its first try fails; any 1 fault",
        **QUEUED,
        **MOVING,
        total=1,
        nightly=True,
    ),
    Scenario(name="moves-2", about="moves; any 2 faults", **QUEUED, **MOVING, total=2, nightly=True),
    Scenario(
        name="beat",
        about="two leaders, one occurrence; any 2 faults",
        workers=1,
        actors=(("beat", 0), ("beat", 0)),
        total=2,
    ),
]

LIMITS = [
    Scenario(
        name="operator-dies",
        about="an operator's retry whose operator dies before its item: the janitor alone mends it",
        actors=(PRODUCER, OPERATOR),
        total=1,
        expect="stuck",
    ),
    Scenario(
        name="operator-stalls",
        about="an operator that stalls longer than a pass between record and item: the janitor may end the task",
        actors=(OPERATOR, JANITOR),
        **QUEUED,
        **JANITED,
        total=0,
        expect="violated",
    ),
]


def without(rule: str) -> frozenset[str]:
    assert rule in DESIGN
    return DESIGN - {rule}


MUTANTS = [
    Scenario(
        name="mut-stale-dropped",
        about="an item whose sequence is not the record's is dropped",
        actors=(PRODUCER,),
        total=1,
        rules=DESIGN | {"stale_dropped"},
        expect="stuck",
    ),
    Scenario(
        name="mut-no-answer-is-no",
        about="no answer to still-running? counts as no",
        actors=(PRODUCER,),
        total=2,
        rules=DESIGN | {"no_answer_is_no"},
        expect="violated",
    ),
    Scenario(
        name="mut-loser-acks",
        about="a run that lost its lease acks",
        actors=(PRODUCER,),
        total=2,
        rules=DESIGN | {"loser_acks"},
        expect="stuck",
    ),
    Scenario(
        name="mut-ack-first",
        about="a retry acks before it publishes the schedule",
        actors=(PRODUCER,),
        **FAILING,
        total=1,
        rules=DESIGN | {"ack_first"},
        expect="stuck",
    ),
    Scenario(
        name="mut-unmark-first",
        about="the marker of a released child goes before its item comes",
        **WAITING,
        actors=(PASS,),
        total=1,
        rules=DESIGN | {"unmark_first"},
        expect="stuck",
        nightly=True,
    ),
    Scenario(
        name="mut-item-left",
        about="an older item is left when the record moved on",
        actors=(PRODUCER, OPERATOR),
        total=1,
        excused="operator",
        rules=without("republish_unless_done"),
        expect="stuck",
    ),
    Scenario(
        name="mut-one-pass",
        about="the janitor ends what is missing in one pass",
        actors=(JANITOR,),
        **QUEUED,
        **FAILING,
        **JANITED,
        total=1,
        rules=without("two_passes"),
        expect="violated",
        nightly=True,
    ),
    Scenario(
        name="mut-due-forgotten",
        about="the janitor misses a wait whose item is there already",
        actors=(JANITOR,),
        recs=(Rec(1, RETRY, due=1, tries=1, age=1),),
        items=(0,),
        acked=1,
        max_tries=2,
        total=0,
        timely=2,
        janitor_heals=True,
        rules=without("wait_needs_both_missing"),
        expect="violated",
    ),
    Scenario(
        name="mut-active-ignored",
        about="the janitor leaves active records without item alone",
        actors=(OPERATOR, JANITOR),
        **QUEUED,
        **JANITED,
        total=2,
        timely=1,
        rules=without("janitor_active"),
        expect="stuck",
        nightly=True,
    ),
    Scenario(
        name="mut-state-first",
        about="the leader writes schedule_state before the occurrence",
        workers=1,
        actors=(("beat", 0), ("beat", 0)),
        total=2,
        rules=without("state_after"),
        expect="stuck",
    ),
    Scenario(
        name="mut-turn-ignored",
        about="a task that waits for another's end begins when its schedule brings it",
        **KEYED_FIRST,
        actors=(("latest", 1),),
        total=0,
        rules=without("looks_before_its_turn"),
        expect="violated",
    ),
    Scenario(
        name="mut-moved-back",
        about="an item that finds a task which moved is scheduled where the item came from",
        **QUEUED,
        **MOVING,
        **PLAIN,
        total=1,
        forget=0,
        lost=0,
        rules=without("moved_goes_on_there"),
        expect="violated",
        nightly=True,
    ),
    Scenario(
        name="mut-move-acks-first",
        about="a move acks before it publishes the schedule",
        **QUEUED,
        **MOVING,
        total=1,
        rules=DESIGN | {"ack_first"},
        expect="stuck",
    ),
    Scenario(
        name="mut-queued-trusted",
        about="an operator's retry leaves a queued task alone, as if its item were there",
        actors=(PRODUCER, OPERATOR),
        total=1,
        excused="operator",
        rules=without("retry_brings_queued"),
        expect="stuck",
    ),
    Scenario(
        name="mut-operator-forgets",
        about="an operator forgets that its first write was not answered",
        actors=(OPERATOR,),
        **QUEUED,
        total=2,
        forget=0,
        crash=1,
        pause=False,
        excused="operator",
        rules=without("retry_remembers"),
        expect="stuck",
    ),
]

UNPROVEN: Final = {
    "schedules_first": "with two_passes the order of listing makes no difference within the budgets that fit",
    "retry_refuses_active": "a retry of a running task takes its run away on purpose, which violates no property here",
    "cancel_beats_retry": "the next claim would end the task as well, only later",
}
"""Rules that no mutant shows to be needed, and why."""

SCENARIOS = {sc.name: sc for sc in (*HOLDS, *LIMITS, *MUTANTS)}
