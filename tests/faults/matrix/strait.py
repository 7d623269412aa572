"""
strait: a way to a server that can be cut so that neither side hears of it.

A network that drops packets tells nobody: connections stay as they are, what is written waits in buffers, and whoever
connects waits for an answer. When it works again, what waited goes on its way; unless something between has forgotten
the connections meanwhile, as a firewall does, and answers what is sent on them with a reset.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: a close is a reset."""


class Strait:
    """
    A proxy in a thread of its own.

    Args:
        port: Where the server is, on this machine.

    Attributes:
        port: Where whoever wants to go there connects.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self._beyond = port
        self._loop = asyncio.new_event_loop()
        self._open: dict[str, asyncio.Event] = {}
        self._free: list[asyncio.Event] = []
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._main, name="strait", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        self._call(self._begin())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is, without what a server asks for."""
        return f"127.0.0.1:{self.port}"

    def cut(self, *, there: bool = True, back: bool = True) -> None:
        """Let nothing through any more: to the server, from it, or both."""
        for way, is_cut in (("there", there), ("back", back)):
            if is_cut:
                self._run(self._open[way].clear)

    def strand(self, number: int) -> None:
        """Let nothing more through on one connection, for ever; they are numbered from 0 in the order they came."""
        self._run(self._free[number].clear)

    def heal(self, *, forgotten: bool = False) -> None:
        """Let all through again, the connections of before as if nothing had been, or with a reset."""

        def mend() -> None:
            if forgotten:
                for link in self._links:
                    with contextlib.suppress(OSError):  # it was closed meanwhile
                        link.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    link.transport.abort()
            for way in self._open.values():
                way.set()

        self._run(mend)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _run(self, action: Callable[[], Any]) -> None:
        async def act() -> None:
            action()

        self._call(act())

    def _call(self, work: Any) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(10)

    async def _begin(self) -> None:
        self._open = {"there": asyncio.Event(), "back": asyncio.Event()}
        for way in self._open.values():
            way.set()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _end(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for link in self._links:
            link.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection from its beginning to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._links.add(writer)
        free = asyncio.Event()
        free.set()
        self._free.append(free)
        try:
            await self._open["there"].wait()
            beyond, onward = await asyncio.open_connection("127.0.0.1", self._beyond)
        except OSError:
            self._drop(writer)
            return
        self._links.add(onward)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._carry(reader, onward, self._open["there"], free),
                self._carry(beyond, writer, self._open["back"], free),
                return_exceptions=True,
            )
        self._drop(writer, onward)

    def _drop(self, *links: asyncio.StreamWriter) -> None:
        for link in links:
            self._links.discard(link)
            link.transport.abort()

    @staticmethod
    async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, *open_ways: asyncio.Event) -> None:
        """Carry what comes from one side to the other; its end as well, but neither while the way is cut."""
        try:
            while data := await source.read(_CHUNK):
                for way in open_ways:
                    await way.wait()
                target.write(data)
                await target.drain()
        except OSError:
            pass
        for way in open_ways:
            await way.wait()
        target.close()
