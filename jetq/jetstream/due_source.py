"""
due_source: the source that brings the due tasks of a queue into its stream, in the server's JSON. Pure.

There are two spellings of it that mean the same. Streams are made with the first; :mod:`jetq.jetstream.source_links`
changes from one to the other, and either is known as ours.
"""

from typing import Any

from jetq.wire.names import Names

_Config = dict[str, Any]


def due_source(names: Names, queue: str) -> _Config:
    """Plan the source, as streams are made with it."""
    return _spelled(names, names.due_subject(queue), names.items_subject(queue))


def _spellings(names: Names, queue: str) -> tuple[_Config, _Config]:
    due, items = names.due_subject(queue).removesuffix(">"), names.items_subject(queue).removesuffix(">")
    return due_source(names, queue), _spelled(names, f"{due}*", f"{items}{{{{wildcard(1)}}}}")


def _spelled(names: Names, src: str, dest: str) -> _Config:
    return {"name": names.schedules, "subject_transforms": [{"src": src, "dest": dest}]}


def sources(config: _Config) -> list[_Config]:
    """Return all sources of a stream."""
    return config.get("sources") or []


def is_sourced(names: Names, queue: str, config: _Config) -> bool:
    """Tell whether the due tasks of a queue come into its stream."""
    return respelled(names, queue, config) is not None


def respelled(names: Names, queue: str, config: _Config) -> _Config | None:
    """Return the configuration of a queue's stream with its source in the other spelling; None if it has none."""
    first, second = _spellings(names, queue)
    for place, source in enumerate(sources(config)):
        for spelling, other in ((first, second), (second, first)):
            if all(source.get(field) == value for field, value in spelling.items()):
                changed = [*sources(config)]
                changed[place] = other
                return config | {"sources": changed}
    return None
