"""
summing: the metrics of several processes as those of one.

A child of a supervisor says what its registry holds (:func:`say_metrics`), and the supervisor's page shows the sum
(:class:`Sum`). What a process counted stays counted when it is gone, so that no sum ever falls; what it measured as of
now, its gauges, goes with it.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct

_LOWEST: Final = frozenset({"jetq_connection_up", "process_start_time_seconds"})
"""Gauges of which the lowest counts: one lost connection is one too many."""
_HIGHEST: Final = frozenset({"python_info", "jetq_queue_paused"})
_SUMMED: Final = frozenset({"counter", "histogram", "summary"})
"""Types that only rise."""

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name and its labels."""


class _Family(Struct, frozen=True, array_like=True):
    """A metric as it travels: its samples by name, labels and value."""

    name: str
    help: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[_Family])


def say_metrics(registry: Any = None) -> bytes:
    """
    Return what a registry holds.

    Args:
        registry: Of prometheus_client; None is its default one.
    """
    import prometheus_client  # noqa: PLC0415 - costs start-up time that not every process needs to pay

    kept: Any = registry or prometheus_client.REGISTRY
    return _encoder.encode(
        [
            _Family(
                family.name,
                family.documentation,
                family.type,
                [
                    (sample.name, sample.labels, sample.value)
                    for sample in family.samples
                    if not sample.name.endswith("_created")
                ],
            )
            for family in kept.collect()
        ]
    )


def new_registry() -> Any:
    """Return an empty registry of prometheus_client."""
    import prometheus_client  # noqa: PLC0415 - as above

    return prometheus_client.CollectorRegistry()


class Sum:
    """
    A collector of prometheus_client that shows the sum of several processes. Any thread may call it.

    Attributes:
        refresh: Called before the sum is shown, to learn what is new.
    """

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._now: dict[int, list[_Family]] = {}
        self._past: dict[str, tuple[_Family, dict[Key, float]]] = {}
        self.refresh: Callable[[], None] = lambda: None

    def learn(self, process: int, said: bytes) -> None:
        """Take what a process says; it replaces what that said before."""
        with self._changing:
            self._now[process] = _decoder.decode(said)

    def forget(self, process: int) -> None:
        """Keep the counts of a process that is gone, and forget its gauges."""
        with self._changing:
            for family in self._now.pop(process, ()):
                if family.kind in _SUMMED:
                    _add(self._past, family)

    def describe(self) -> Iterable[Any]:
        """Name nothing, so that a registry asks nobody when this is added to it."""
        return ()

    def collect(self) -> Iterable[Any]:
        """Return the sum as prometheus_client's own families."""
        from prometheus_client.metrics_core import Metric  # noqa: PLC0415 - as above

        self.refresh()
        with self._changing:
            total = {name: (family, dict(values)) for name, (family, values) in self._past.items()}
            for families in self._now.values():
                for family in families:
                    _add(total, family)
        for family, values in total.values():
            shown: Any = Metric(family.name, family.help, family.kind)
            for (name, labels), value in values.items():
                shown.add_sample(name, dict(labels), value)
            yield shown


def _add(total: dict[str, tuple[_Family, dict[Key, float]]], family: _Family) -> None:
    _, values = total.setdefault(family.name, (family, {}))
    for name, labels, value in family.samples:
        key = name, tuple(sorted(labels.items()))
        before = values.get(key)
        values[key] = value if before is None else _joined(family.name, before, value)


def _joined(name: str, one: float, other: float) -> float:
    if name in _LOWEST:
        return min(one, other)
    return max(one, other) if name in _HIGHEST else one + other
