"""
renewal: how a connection whose link ended comes to its next one.

It never ends without one, whatever fails. But a loop that ends (`asyncio.run`) cancels all its tasks, what reads a link
among them, and what was begun then would still be there when the loop is closed. So a renewal is put off that nobody
asked for: whoever sends something, while the loop waits for what it cancelled, has it resumed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from jetq.errors import JetqError
from jetq.jetstream.dialer import Dialer
from jetq.jetstream.link import Link

_AFTER_DEFECT: Final = 1.0

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Renewal:
    """
    Dials until there is a link.

    Args:
        dialer: Finds a server.
        spawn: Starts a task of the connection.
        on_link: Gets the link.
        on_failure: Hears why there is none yet; the same kind of failure is told once.
    """

    def __init__(
        self, dialer: Dialer, spawn: Spawn, on_link: Callable[[Link], None], on_failure: Callable[[str], None]
    ) -> None:
        self._dialer = dialer
        self._spawn = spawn
        self._on_link = on_link
        self._on_failure = on_failure
        self._is_off = False
        self._is_over = False

    def begin(self) -> None:
        """Begin to dial."""
        if not self._is_over:
            self._spawn(self._renew()).add_done_callback(self._on_end)

    def put_off(self) -> None:
        """Wait until somebody sends something."""
        self._is_off = True

    def resume(self) -> bool:
        """Begin what was put off; False, if nothing was."""
        if was_off := self._is_off:
            self._is_off = False
            self.begin()
        return was_off

    def stop(self) -> None:
        """Begin no more."""
        self._is_over, self._is_off = True, False

    def _on_end(self, renewal: asyncio.Task[None]) -> None:
        """Begin again when it failed in a way that nobody expected: it must never end for good."""
        if renewal.cancelled():
            self._is_off = not self._is_over
        elif not self._is_over and (error := renewal.exception()) is not None:
            self._on_failure(f"could not reconnect: {error!r}")
            asyncio.get_running_loop().call_later(_AFTER_DEFECT, self.begin)

    async def _renew(self) -> None:
        told: type[JetqError] | None = None

        def on_failure(failure: JetqError) -> None:
            nonlocal told
            if told is not type(failure):
                told = type(failure)
                self._on_failure(str(failure))

        self._on_link(await self._dialer.again(on_failure))
