"""A child of a supervisor that behaves as it is told: ``python -m tests.unit.supervisor.child_program FDS HOW``."""

import os
import select
import signal
import socket
import sys
import time

from jetq.wire.ids import new_id
from jetq.wire.in_flight import RunsInFlight
from jetq.wire.liveness import (
    HEADER_SIZE,
    Alive,
    Blocked,
    FromChild,
    Inherit,
    Inherited,
    Measure,
    Measured,
    Started,
    Stop,
    body_size,
    frame,
    read_to_child,
)

BEAT = 0.05


def shared(descriptor: int) -> memoryview:
    import mmap  # noqa: PLC0415 - only the program needs it

    return memoryview(mmap.mmap(descriptor, os.fstat(descriptor).st_size))


class Child:
    """One life."""

    def __init__(self, inherited: str, how: str) -> None:
        pipe, memory, _ = (int(part) for part in inherited.split(","))
        self.pipe = socket.socket(fileno=pipe)
        self.how, _, number = how.partition(":")
        self.number = int(number or 0)
        self.worker = new_id()
        self.notes = RunsInFlight(shared(memory), self.worker)
        self.done = 0
        self.ballast = b""

    def say(self, message: FromChild) -> None:
        self.pipe.sendall(frame(message))

    def run(self) -> int:
        if self.how == "exit":
            return self.number
        if self.how == "mute":
            time.sleep(1000)
        self.prepare()
        self.say(Started(self.worker))
        if self.how == "silent":
            time.sleep(1000)
        while True:
            if self.how == "busy":
                self.done += 10
            blocked = Blocked(9.0, "T1", "a", "the stack") if self.how == "stuck" else None
            overdue = "a T1 runs on" if self.how in {"stuck", "overdue"} else ""
            self.say(Alive(running=1, done=self.done, blocked=blocked, overdue=overdue))
            if self.how == "fails":
                return self.number
            if select.select([self.pipe], [], [], BEAT)[0] and not self.hear():
                return 0

    def prepare(self) -> None:
        if self.how == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.how == "fat":
            self.ballast = os.urandom(100 * 2**20)
        for number in range(self.number if self.how == "loaded" else 0):
            self.notes.add(f"T{number}", 1, "n", queue="Q", item=number, reply="r")

    def hear(self) -> bool:
        header = self.pipe.recv(HEADER_SIZE, socket.MSG_WAITALL)
        if len(header) < HEADER_SIZE:
            return False
        message = read_to_child(self.pipe.recv(body_size(header), socket.MSG_WAITALL))
        match message:
            case Stop():
                return self.how == "deaf"
            case Inherit():
                self.say(Inherited(message.worker))
            case Measure():
                self.say(Measured(b"\x90"))
            case _:
                pass
        return True


if __name__ == "__main__":
    sys.exit(Child(sys.argv[1], sys.argv[2]).run())
