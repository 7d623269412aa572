"""
search: walk every state of a scenario, and say what was found.

    python -m tests.model.search                       every scenario, a line each, with traces of what was violated
    python -m tests.model.search NAME ...              these
    python -m tests.model.search --list
"""

import argparse
import gc
import re
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.model.clients import Clients
from tests.model.keepers import Keepers
from tests.model.keys import Keys
from tests.model.parts import ACTIVE, DEAD, DONE, EXPIRED, FINAL, STATE, STEP
from tests.model.scenario import Scenario
from tests.model.scenarios import SCENARIOS
from tests.model.steps import Environment, Successor
from tests.model.workers import Workers
from tests.model.world import World

MAX_STATES = 1_500_000


class Expander(Environment, Keys, Workers, Clients, Keepers):
    """All steps of one state."""

    def successors(self, s: World) -> list[Successor]:
        self.s, self.out = s, []
        self.environment()
        for i, k in enumerate(s.ws):
            if not k.paused:
                getattr(self, "w_" + STEP[k.pc])(i, k)
        for j, a in enumerate(s.act):
            if a.pc < DONE:
                getattr(self, "a_" + a.kind)(j, a)
        return self.out


@dataclass
class Found:
    """
    What a search found.

    Attributes:
        violated: How many steps violate which property.
        stuck: How many states have no way to the goal without further faults.
        complete: Whether all states were walked.
        traces: The shortest ways to each violation and to each class of stuck states.
    """

    states: int = 0
    steps: int = 0
    violated: Counter[str] = field(default_factory=Counter[str])
    stuck: int = 0
    complete: bool = True
    traces: list[str] = field(default_factory=list[str])

    @property
    def verdict(self) -> str:
        """``holds``, ``stuck``, ``violated``, or ``unfinished``."""
        if self.violated:
            return "violated"
        if not self.complete:
            return "unfinished"
        return "stuck" if self.stuck else "holds"


class Search:
    """
    Breadth-first over all states, then backwards from the good ones.

    States are stored as tuples of the numbers of their parts, since states share most of their parts.
    """

    def __init__(self, sc: Scenario, max_states: int = MAX_STATES) -> None:
        self.sc = sc
        self.max_states = max_states
        self.found = Found()
        self._parts: list[Any] = []
        self._numbers: dict[Any, int] = {}
        self._states: list[tuple[int, ...]] = []
        self._index: dict[tuple[int, ...], int] = {}
        self._came_from = array("i")
        self._by: list[str] = []
        self._swapped = bytearray()
        self._labels: dict[str, str] = {}
        self._edges = array("I"), array("I")
        self._good: list[int] = []
        self._first_bad: dict[str, tuple[int, str]] = {}

    def run(self) -> Found:
        collecting = gc.isenabled()
        gc.disable()  # millions of tuples, none of them in a cycle
        try:
            self._add(World.first(self.sc), -1, "")
            self._walk()
            self._tell_violations()
            self._tell_stuck(self._stuck())
        finally:
            if collecting:
                gc.enable()
        self.found.states = len(self._states)
        return self.found

    def _walk(self) -> None:
        expander = Expander(self.sc)
        sources, targets = self._edges
        at = 0
        while at < len(self._states):
            s = self._load(at)
            if goal(s):
                self._good.append(at)
            for w, label, fault in expander.successors(s):
                self.found.steps += 1
                bad = w.bad or (self.sc.unique and both_able(w)) or (self.sc.latest and both_active(w))
                if bad:
                    self.found.violated[bad] += 1
                    self._first_bad.setdefault(bad, (at, label))
                    continue
                number = self._add(w, at, label)
                if number >= 0 and not fault:
                    sources.append(at)
                    targets.append(number)
            at += 1

    def _add(self, w: World, came_from: int, label: str) -> int:
        key = tuple([self._number(part) for part in w.canonical()])
        number = self._index.get(key)
        if number is not None:
            return number
        if len(self._states) >= self.max_states:
            self.found.complete = False
            return -1
        number = self._index[key] = len(self._states)
        self._states.append(key)
        self._came_from.append(came_from)
        self._by.append(self._labels.setdefault(label, label))
        self._swapped.append(w.swapped)
        return number

    def _number(self, part: Any) -> int:
        number = self._numbers.get(part)
        if number is None:
            number = self._numbers[part] = len(self._parts)
            self._parts.append(part)
        return number

    def _load(self, number: int) -> World:
        w = World()
        rec, q, ws, act, rest = (self._parts[part] for part in self._states[number])
        w.sc, w.rec, w.q, w.ws, w.act = self.sc, list(rec), list(q), list(ws), list(act)
        w.mk, w.late, w.bud, w.pres, w.acked, w.keys = rest
        w.bad, w.swapped = None, False
        return w

    def _stuck(self) -> list[int]:
        """Return the states from which no way without further faults leads to the goal."""
        sources, targets = self._edges
        states = len(self._states)
        start = array("I", [0]) * (states + 1)
        for target in targets:
            start[target + 1] += 1
        for number in range(states):
            start[number + 1] += start[number]
        place, back = array("I", start), array("I", [0]) * len(targets)
        for source, target in zip(sources, targets, strict=True):
            back[place[target]] = source
            place[target] += 1
        fine = bytearray(states)
        for number in self._good:
            fine[number] = 1
        todo = list(self._good)
        while todo:
            number = todo.pop()
            for edge in range(start[number], start[number + 1]):
                source = back[edge]
                if not fine[source]:
                    fine[source] = 1
                    todo.append(source)
        return [number for number in range(states) if not fine[number] and not self._is_excused(number)]

    def _is_excused(self, number: int) -> bool:
        actors = self._parts[self._states[number][3]]
        return bool(self.sc.excused) and any(a.kind == self.sc.excused and a.pc == DEAD for a in actors)

    # traces

    def _tell_violations(self) -> None:
        for what, (at, label) in self._first_bad.items():
            self.found.traces.append(f"{what}\n{self._way_to(at, label)}")

    def _tell_stuck(self, stuck: list[int]) -> None:
        self.found.stuck = len(stuck)
        classes: dict[str, int] = {}
        for number in stuck:
            classes.setdefault(describe(self._load(number)), number)
        for what, number in list(classes.items())[:5]:
            self.found.traces.append(f"stuck: {what}\n{self._way_to(number)}")

    def _way_to(self, number: int, further: str = "") -> str:
        way: list[tuple[str, bool]] = [(further, False)] if further else []
        while number > 0:
            way.append((self._by[number], bool(self._swapped[number])))
            number = self._came_from[number]
        lines: list[str] = []
        names = "AB"  # undo the symmetry: the workers keep their names
        for place, (label, swapped) in enumerate(reversed(way), 1):
            lines.append(f"  {place:2}. {named(label, names)}")
            names = names[::-1] if swapped else names
        return "\n".join(lines)


def named(label: str, names: str) -> str:
    """Put the names of the workers in the place of their numbers."""
    return re.sub(r"(worker|asks|presence of) ([01])\b", lambda found: f"{found[1]} {names[int(found[2])]}", label)


def goal(w: World) -> bool:
    """
    Whether every acknowledged task is final and nothing of any task is left.

    What was never acknowledged may be an orphan, a record without item, unless a janitor should have mended it.
    """
    sc = w.sc
    if any(q.item or q.sched or q.due for q in w.q):
        return False
    for t, r in enumerate(w.rec):
        if w.mk >> t & 1:
            return False
        if r is None:
            if w.acked >> t & 1:
                return False
        elif r.st not in FINAL and (w.acked >> t & 1 or sc.janitor_heals or r.tries):
            return False
    return not sc.goal_expired or (w.rec[0].st == EXPIRED and not w.rec[0].tries)


def both_able(w: World) -> str:
    able = [
        t
        for t, r in enumerate(w.rec)
        if r and r.st not in FINAL and (r.st == ACTIVE or w.q[t].item or w.q[t].sched or w.q[t].due)
    ]
    return "I5: two tasks of one key can both run" if len(able) > 1 else ""


def both_active(w: World) -> str:
    active = [t for t, r in enumerate(w.rec) if r and r.st == ACTIVE]
    return "I7: two tasks of one key are active" if len(active) > 1 else ""


def describe(w: World) -> str:
    tasks: list[str] = []
    for t, r in enumerate(w.rec):
        q = w.q[t]
        parts = [("item", q.item), ("schedule", q.sched), ("due", q.due), ("marker", w.mk >> t & 1)]
        have = "+".join(name for name, there in parts if there) or "no item"
        state = f"{STATE[r.st]}{'+due' * r.due}{f' pending={r.pend:b}' * bool(r.pend)}" if r else "no record"
        tasks.append(f"task {t}: {state}, {have}{', acked' if w.acked >> t & 1 else ''}")
    dead = sorted(a.kind for a in w.act if a.pc == DEAD)
    busy = sorted(a.kind for a in w.act if 0 < a.pc < DONE)
    told = [f"dead: {', '.join(dead)}"] * bool(dead) + [f"busy: {', '.join(busy)}"] * bool(busy)
    return "; ".join(tasks + told)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--max-states", type=int, default=MAX_STATES)
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    out = sys.stdout.write
    for name in args.names or SCENARIOS:
        sc = SCENARIOS[name]
        if args.list:
            out(f"{name:24} {sc.about}\n")
            continue
        began = time.monotonic()
        found = Search(sc, args.max_states).run()
        took = time.monotonic() - began
        counts = f"{found.states} states, {found.steps} steps, {took:.0f} s"
        out(f"{name}: {found.verdict} (expected: {sc.expect}); {counts}; {dict(found.violated)}, stuck {found.stuck}\n")
        out("".join(f"{trace}\n" for trace in found.traces if found.verdict != sc.expect))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
