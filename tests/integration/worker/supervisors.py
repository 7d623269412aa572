"""A supervisor of a worker in this process: the other end of its pipe, and of its memory."""

import mmap
import socket
from types import TracebackType
from typing import Self

from jetq.supervisor.pipe import Pipe
from jetq.wire.in_flight import RunInFlight, read_in_flight, size_for
from jetq.wire.liveness import FromChild, ToChild
from jetq.worker.supervision import Supervision
from tests.integration.watching import eventually


class Overseer:
    """
    The supervisor.

    Attributes:
        supervision: For the worker.
        heard: What the worker said.
    """

    def __init__(self) -> None:
        near, far = socket.socketpair()
        self._pipe = Pipe(near)
        self._memory = memoryview(mmap.mmap(-1, size_for(20)))
        self.supervision = Supervision(far, self._memory)
        self.heard: list[FromChild] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pipe.close()

    def say(self, message: ToChild) -> None:
        self._pipe.send(message)

    async def hear(self, message: FromChild, *, count: int = 1) -> None:
        """Wait until the worker has said a message so often."""

        async def is_heard() -> bool:
            self.heard += self._pipe.receive()
            return self.heard.count(message) >= count

        await eventually(is_heard)

    def in_flight(self) -> tuple[str, list[RunInFlight]]:
        return read_in_flight(self._memory)

    def vanish(self) -> None:
        """Be gone, as when it was killed."""
        self._pipe.close()
