"""
gathering: serve those together who want to write the same message at the same time.

Writers of one message that do not know of each other lose their compare-and-swaps to each other, and n of them need n²
requests. Within a process they can know: whoever comes while the message is being written waits, and all who wait are
served by the next write.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

_Wish = TypeVar("_Wish")
_Answer = TypeVar("_Answer")
_T = TypeVar("_T")


class _Round(Generic[_Wish, _Answer]):
    """Wishes that are served together."""

    def __init__(self) -> None:
        self.wishes: list[_Wish] = []
        self.task: asyncio.Task[_Answer]


class Gathering(Generic[_Wish, _Answer]):
    """
    Serves wishes, those about the same thing together.

    Args:
        serve: Serves all wishes that came about a thing; never called for one thing twice at a time.
    """

    def __init__(self, serve: Callable[[str, list[_Wish]], Awaitable[_Answer]]) -> None:
        self._serve = serve
        self._open: dict[str, _Round[_Wish, _Answer]] = {}
        self._begun: dict[str, asyncio.Task[_Answer]] = {}

    async def join(self, thing: str, wish: _Wish) -> _Answer:
        """Return what *serve* does, for all whose wishes it served. What it raises, all of them get."""
        found = self._open.get(thing)
        if found is None:
            found = self._open[thing] = _Round()
            found.task = asyncio.get_running_loop().create_task(self._run(thing, found))
            found.task.add_done_callback(_heard)
        found.wishes.append(wish)
        return await asyncio.shield(found.task)

    async def _run(self, thing: str, mine: _Round[_Wish, _Answer]) -> _Answer:
        before = self._begun.get(thing)
        if before is not None:
            await asyncio.wait({before})
        del self._open[thing]
        self._begun[thing] = mine.task
        try:
            return await self._serve(thing, mine.wishes)
        finally:
            if self._begun.get(thing) is mine.task:
                del self._begun[thing]


def _heard(task: "asyncio.Task[_Answer]") -> None:
    """Take note of how a round ended whose members all left."""
    if not task.cancelled():
        task.exception()


async def together(steps: Sequence[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Await all of them; then raise what one of them raised."""
    if len(steps) == 1:
        return [await steps[0]]
    ended = await asyncio.gather(*steps, return_exceptions=True)
    found: list[_T] = []
    for each in ended:
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found
