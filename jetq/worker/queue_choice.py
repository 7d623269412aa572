"""
queue_choice: which queues a worker serves, and how it shares its slots out among them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from msgspec import Struct

from jetq.errors import InvalidSettingError
from jetq.model.name import check_name
from jetq.model.quantity import whole
from jetq.model.sharing import MOST_WEIGHT, Fair, Sharing, Strict
from jetq.settings import Queue, WorkerSettings

Queues = Sequence[str] | Mapping[str, int]
"""Names of queues, or their weights by name."""


class QueueChoice(Struct, frozen=True, kw_only=True):
    """
    Which queues are served.

    Attributes:
        weights: By name, in order; empty means all that the application knows.
        strict: The order of the queues is their priority.
        exclude: Names of those that are not served.
    """

    weights: Mapping[str, int]
    strict: bool
    exclude: tuple[str, ...]

    @classmethod
    def of(cls, queues: Queues, settings: WorkerSettings) -> Self:
        """
        Check what was chosen.

        Raises:
            InvalidNameError: No queue can have such a name.
            InvalidSettingError: A weight is none, or two choices contradict each other.
        """
        named = {queues: 1} if isinstance(queues, str) else queues
        weights = {check_name("queue", name): 1 for name in named}
        if isinstance(named, Mapping):
            weights = {name: whole(f"the weight of {name}", named[name], least=1, most=MOST_WEIGHT) for name in named}
        if settings.strict:
            if not weights:
                raise InvalidSettingError("strict", value=True, wanted="off, or with the queues named in their order")
            if any(weight != 1 for weight in weights.values()):
                raise InvalidSettingError("strict", value=True, wanted="off with weights: choose one")
        return cls(weights=weights, strict=settings.strict, exclude=tuple(settings.exclude))

    def served(self, known: Mapping[str, Queue]) -> dict[str, Queue]:
        """
        Return the queues to serve, in order; those that nobody declared have their defaults.

        Args:
            known: The queues that the application and its handlers name.

        Raises:
            InvalidSettingError: None is left, or what is excluded would not be served anyway.
        """
        names = list(self.weights or known)
        for name in self.exclude:
            if name not in names:
                raise InvalidSettingError("exclude", name, f"a queue that would be served: {', '.join(names)}")
        left = [name for name in names if name not in self.exclude]
        if not left:
            raise InvalidSettingError("exclude", ", ".join(self.exclude), "fewer queues: none is left to serve")
        return {name: known.get(name) or Queue(name) for name in left}

    def sharing(self, names: Iterable[str], capacity: int) -> Sharing:
        """Return how *capacity* slots are shared out among the queues of these names."""
        return Strict() if self.strict else Fair([self.weights.get(name, 1) for name in names], capacity)
