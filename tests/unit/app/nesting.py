"""Random compositions, and what each should come to, worked out by itself."""

from typing import Any

from hypothesis import strategies as st
from msgspec import Struct

from jetq.app.composition import Step, chain, group
from jetq.app.task import Task


def note(label: str, before: Any = "nothing", other: Any = None) -> list[Any]:
    """Return what it got; the function of the task that is composed."""
    return [label, before] if other is None else [label, before, other]


class Spec(Struct, frozen=True):
    """A composition, and what it should come to, by itself."""

    kind: str
    parts: tuple["Spec", ...] = ()
    label: str = ""

    def step(self, note: Task[..., Any]) -> Step[Any]:
        """Return the composition, of calls of a task that returns its label and what it got."""
        match self.kind:
            case "call":
                return note.s(self.label)
            case "si":
                return note.si(self.label)
            case "into":
                return note.s(self.label).using(into="other")
            case "chain":
                return chain(*(part.step(note) for part in self.parts))
            case "bar":
                made = self.parts[0].step(note)
                for part in self.parts[1:]:
                    made = made | part.step(note)
                return made
            case _:
                return group(part.step(note) for part in self.parts)

    def value(self, before: Any = "nothing") -> Any:
        """Return what it should come to, after *before*."""
        match self.kind:
            case "call":
                return [self.label, before]
            case "si":
                return [self.label, "nothing"]
            case "into":
                return [self.label, "nothing", before]
            case "chain" | "bar":
                for part in self.parts:
                    before = part.value(before)
                return before
            case _:
                return [part.value(before) for part in self.parts]


LABELS = st.sampled_from("abcdefgh")
CALLS = st.builds(Spec, st.sampled_from(["call", "call", "si", "into"]), st.just(()), LABELS)
SPECS = st.recursive(
    CALLS,
    lambda inner: st.builds(
        Spec, st.sampled_from(["chain", "bar", "group"]), st.lists(inner, min_size=1, max_size=3).map(tuple)
    ),
    max_leaves=12,
)
