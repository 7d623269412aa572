"""
supervised: a worker process with a supervisor, from the file descriptors that it inherited.
"""

import mmap
import os
import socket
from dataclasses import dataclass
from typing import Final, Self, TextIO

from jetq.errors import InvalidSettingError
from jetq.observe.line_stream import shared_log
from jetq.observe.summing import say_metrics
from jetq.worker.supervision import Supervision

_WANTED: Final = "what a supervisor gives its child"


@dataclass(frozen=True)
class Inherited:
    """
    What a child inherits.

    Attributes:
        pipe: Its end of the pipe to the supervisor.
        memory: Where it notes its runs.
        log_lock: Locked by whoever writes to the log.
    """

    pipe: int
    memory: int
    log_lock: int

    @classmethod
    def read(cls, text: str) -> Self:
        """
        Read the value of ``--child``.

        Raises:
            InvalidSettingError: It is none.
        """
        try:
            pipe, memory, log_lock = (int(part) for part in text.split(","))
            for descriptor in (pipe, memory, log_lock):
                os.fstat(descriptor)
                os.set_inheritable(descriptor, False)  # a handler's own children have nothing to do with it
        except (ValueError, OSError):
            raise InvalidSettingError("--child", text, _WANTED) from None
        return cls(pipe, memory, log_lock)

    def log_stream(self, descriptor: int) -> TextIO:
        """Return the log, whose lines stay whole beside those of the others."""
        return shared_log(descriptor, self.log_lock)

    def supervision(self, *, counts: bool) -> Supervision:
        """Return the supervisor; *counts* says whether it wants this process's metrics."""
        memory = memoryview(mmap.mmap(self.memory, os.fstat(self.memory).st_size))
        end = socket.socket(fileno=self.pipe)
        return Supervision(end, memory, say_metrics=say_metrics if counts else None)
