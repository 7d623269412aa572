"""
clients: one connection for each event loop that enqueues.

nats-py belongs to one loop, and a process may have several: the user's, the blocking bridge's, a worker's. Each gets
its own backend on first use; a child made by fork gets new ones.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from jetq.client.blocking import bridge
from jetq.client.enqueue import Enqueuer
from jetq.client.operations import Operate
from jetq.jetstream.address import Address
from jetq.jetstream.backend import Backend
from jetq.observe.bus import Bus
from jetq.settings import Queue, Settings
from jetq.wire.signature import Signer

_T = TypeVar("_T")


class Client:
    """
    What enqueues and waits within one event loop.

    Attributes:
        backend: The server.
        enqueuer: The write path.
        operations: What operates on single tasks.
    """

    def __init__(
        self, backend: Backend, declared: Mapping[str, Queue], operate: Operate, signer: Signer | None = None
    ) -> None:
        self.backend = backend
        self.enqueuer = Enqueuer(backend, declared, signer)
        self.operations = operate(backend, signer)


class Clients:
    """
    The clients of one application.

    Args:
        name: Of the application, shown by the server's monitoring.
        settings: Of the application.
        declared: Its queues by name; each is bound or made when a task first goes there.
        address: Says where the server is; called when a client opens.
        bus: Of the application; hears the events of every client.
        operate: Makes what operates on single tasks.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        declared: Mapping[str, Queue],
        address: Callable[[], Address],
        bus: Bus,
        operate: Operate,
    ) -> None:
        self._name = name
        self._settings = settings
        self._declared = declared
        self._address = address
        self._bus = bus
        self._operate = operate
        self._pid = os.getpid()
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[Client]] = WeakKeyDictionary()

    async def current(self) -> Client:
        """
        Return the client of the running loop, connecting on first use.

        Raises:
            ServerError: No connection, or the streams are not as they must be; the next call tries again.
            UnusableCredentialsError: The signing key cannot be read, or is none.
        """
        self._forget_after_fork()
        loop = asyncio.get_running_loop()
        opening = self._by_loop.get(loop)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            opening = self._by_loop[loop] = loop.create_task(self._open())
        return await asyncio.shield(opening)

    async def _open(self) -> Client:
        bus = Bus()
        bus.listen(self._bus.emit)
        signer = Signer.of(self._settings.signing)
        backend = await Backend.open(self._address(), self._settings, name=f"{self._name} client", bus=bus)
        return Client(backend, self._declared, self._operate, signer)

    def adopt(self, backend: Backend) -> Callable[[], None]:
        """
        Let the running loop use a backend that somebody else opened, unless it has a client of its own.

        Returns:
            What ends that, to be called before the backend is closed.
        """
        loop = asyncio.get_running_loop()
        adopted: asyncio.Future[Client] = loop.create_future()
        signer = Signer.of(self._settings.signing)
        adopted.set_result(Client(backend, self._declared, self._operate, signer))
        self._by_loop.setdefault(loop, adopted)

        def release() -> None:
            if self._by_loop.get(loop) is adopted:
                del self._by_loop[loop]

        return release

    def blocking(self, work: Callable[[Client], Coroutine[Any, Any, _T]]) -> _T:
        """Run *work* with the client of the background loop, and wait for it."""

        async def run() -> _T:
            return await work(await self.current())

        return bridge().call(run())

    async def aclose(self) -> None:
        """Close the running loop's client."""
        opening = self._by_loop.pop(asyncio.get_running_loop(), None)
        if opening is None:
            return
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:
            await opening.result().backend.close()

    def close(self) -> None:
        """Close the background loop's client."""
        self._forget_after_fork()
        if self._by_loop.get(bridge().loop) is not None:
            bridge().call(self.aclose())

    def _forget_after_fork(self) -> None:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._by_loop = WeakKeyDictionary()
