"""
asking: which queue is asked for how many items.

Credit is what was asked for and has not come. All of it together never exceeds the free slots, since an item that comes
must not wait in a worker while another one could run it.

One queue alone is simply asked for as many items as there are free slots (`OneQueue`). With several (`SeveralQueues`),
credit at one queue is out of the others' reach until it is answered, so it must not lie idle where it is needed
elsewhere:

- a queue that is known to have items is asked for those that are there *at once*: they come, or the credit comes back;
- an idle queue has a request for one item that waits at the server, so that a task that comes starts at once. When
  another queue could use that slot, the request is withdrawn, and the idle queue is asked at once now and then instead;
- a queue that has items and gives none, since as many run as may run at one time, would keep its credit: that is
  withdrawn as well.

How the slots are shared out among those that want some is decided in `model.sharing`.
"""

import asyncio
from collections.abc import Callable, Mapping
from math import inf
from typing import Final, Protocol

from jetq.jetstream.puller import Delivery, Puller
from jetq.model.sharing import Sharing
from jetq.worker.slots import Share

_LOOK_EVERY: Final = 0.05
"""Seconds between two questions to an idle queue that has no request waiting at the server."""
_STALLED_AFTER: Final = 0.1
"""Seconds without an answer after which a queue counts as one that may not give its items."""
_STALLED_WAIT: Final = 0.4
"""Seconds until such a queue is asked again, unless one of its tasks ends here before."""


class Asking(Protocol):
    """Decides whom to ask."""

    def ask(self, room: int) -> None:
        """Ask for as many items as there is room for, which the credit counts against."""
        ...

    def arrived(self, delivery: Delivery) -> Share | None:
        """Take note of a delivery; return what it counts against."""
        ...

    def stop(self) -> None:
        """Ask no more."""
        ...


class OneQueue:
    """
    Asks the only queue.

    Args:
        puller: Of the queue.
        batch: Items to wait for room for, so that not every end of a task costs a request.
    """

    def __init__(self, puller: Puller, batch: int) -> None:
        self._puller = puller
        self._batch = batch

    def ask(self, room: int) -> None:
        """Ask for as much as there is room for."""
        puller = self._puller
        room -= puller.credit
        if room > 0 and (room >= self._batch or not puller.credit) and puller.is_ready:
            puller.ask(room)

    def arrived(self, delivery: Delivery) -> Share | None:  # noqa: ARG002 - all count alike
        """Return nothing: there are no shares."""
        return None

    def stop(self) -> None:
        """Do nothing: the queue's puller is stopped by its owner."""


class _Line:
    """
    One of several queues.

    Attributes:
        puller: Asks it.
        share: What it holds of the slots.
        waits: Its credit is a request that waits at the server.
        asked: When it was last asked, in the loop's time.
        look_at: When to ask it again, if it seems idle.
        stalled: It did not answer, since it may not give what it has.
    """

    __slots__ = ("asked", "look_at", "puller", "share", "stalled", "waits")

    def __init__(self, puller: Puller) -> None:
        self.puller = puller
        self.share = Share()
        self.waits = False
        self.asked = 0.0
        self.look_at = 0.0
        self.stalled = False

    @property
    def is_open(self) -> bool:
        """Whether it can be asked, having answered all questions."""
        return not self.puller.credit and self.puller.is_ready


class SeveralQueues:
    """
    Asks several queues.

    Args:
        pullers: Of the queues, by their names, in the order that *sharing* knows them by.
        sharing: Shares out the slots.
        on_time: Called when it is time to ask again.
    """

    def __init__(self, pullers: Mapping[str, Puller], sharing: Sharing, *, on_time: Callable[[], None]) -> None:
        self._sharing = sharing
        self._on_time = on_time
        self._lines = [_Line(puller) for puller in pullers.values()]
        self._places = {name: place for place, name in enumerate(pullers)}
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def arrived(self, delivery: Delivery) -> Share:
        """Count a delivery for its queue."""
        place = self._places[delivery.queue]
        line = self._lines[place]
        line.share.held += 1
        line.stalled = False
        if not line.puller.pending and delivery.delivered > 1:
            line.puller.pending = 1  # what is delivered again is not counted as pending, and seldom comes alone
        self._sharing.started(place)
        return line.share

    def ask(self, room: int) -> None:
        """Ask those that have items, and see that of the others one is noticed soon."""
        now = self._loop.time()
        self._withdraw_stalled(now)
        credit, wishes, backlog = 0, 0, False
        wanted: list[int] = []
        for line in self._lines:
            wish = self._wanted(line, now)
            wanted.append(wish)
            wishes += wish
            credit += line.puller.credit
            backlog = backlog or line.puller.pending > 0
        room -= credit
        if backlog and wishes > room:
            room += self._withdraw_waiting(now)
        if room > 0 and wishes and (backlog or not self._have_room_for_all(room)):
            room -= self._ask_at_once(room, wanted, now)
        if room > 0:
            self._let_wait(room, now)
        self._set_timer(now)

    def _wanted(self, line: _Line, now: float) -> int:
        """Say how many items a queue could give: those that it is known to have; one, if it is time to look."""
        puller = line.puller
        if puller.credit:  # not asked again before it answered, but what it could give is not given away
            return 0 if line.waits else max(0, puller.pending - puller.credit)
        if now < line.look_at and (line.stalled or not puller.pending):
            return 0
        return (puller.pending or 1) if puller.is_ready else 0

    def _have_room_for_all(self, room: int) -> bool:
        """Whether a request of each queue that may be asked could wait at the server."""
        for line in self._lines:
            if line.is_open:
                room -= 1
                if room < 0:
                    return False
        return True

    def _ask_at_once(self, room: int, wanted: list[int], now: float) -> int:
        """Share out the room among those that have items, or may have some."""
        held = [line.share.held + line.puller.credit for line in self._lines]
        given = self._sharing.share_out(room, held, wanted)
        asked = 0
        for line, count in zip(self._lines, given, strict=True):
            if count and not line.puller.credit:
                line.asked, line.look_at, line.waits = now, now + _LOOK_EVERY, False
                line.puller.ask(count, at_once=True)
            asked += count
        return asked

    def _let_wait(self, room: int, now: float) -> None:
        """Let requests for one item wait at idle queues, if there is room for one at each."""
        idle: list[_Line] = []
        for line in self._lines:
            if not line.puller.pending and line.is_open:
                if len(idle) >= room:
                    return
                idle.append(line)
        for line in idle:
            line.asked, line.waits = now, True
            line.puller.ask(1)

    def _withdraw_waiting(self, now: float) -> int:
        """Withdraw the requests that wait at idle queues; return how many there were."""
        count = 0
        for line in self._lines:
            if line.waits and line.puller.credit:
                count += line.puller.credit
                line.waits, line.look_at = False, now + _LOOK_EVERY
                line.puller.withdraw()
        return count

    def _withdraw_stalled(self, now: float) -> None:
        for line in self._lines:
            if line.puller.credit and not line.waits and now - line.asked >= _STALLED_AFTER:
                line.puller.pending = 0
                line.stalled, line.look_at = True, now + _STALLED_WAIT
                line.puller.withdraw()

    def _set_timer(self, now: float) -> None:
        """Look again when a question should have been answered, or an idle queue is to be asked."""
        next_look = inf
        for line in self._lines:
            if not line.puller.credit:
                next_look = min(next_look, line.look_at)
            elif not line.waits:
                next_look = min(next_look, line.asked + _STALLED_AFTER)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_look < inf:
            self._timer = self._loop.call_later(max(next_look - now, 0.001), self._on_time)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
