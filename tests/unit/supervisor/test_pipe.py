"""The supervisor's end of a pipe: it never blocks, and loses nothing."""

import socket

from jetq.supervisor.pipe import Pipe
from jetq.wire.liveness import Alive, Measured, Quiet, Started, Stop, frame


def test_messages_come_whole_however_they_are_cut() -> None:
    near, far = socket.socketpair()
    pipe, heard = Pipe(near), []
    data = frame(Started("W")) + frame(Measured(b"x" * 5000)) + frame(Alive(done=3))
    for start in range(0, len(data), 777):
        far.send(data[start : start + 777])
        heard += pipe.receive()

    assert heard == [Started("W"), Measured(b"x" * 5000), Alive(done=3)]
    pipe.close()
    far.close()


def test_what_a_child_does_not_read_waits() -> None:
    near, far = socket.socketpair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    pipe = Pipe(near)
    for _ in range(5000):
        pipe.send(Stop(now=True))
    assert pipe.has_unsent

    read = 0
    while read < 5000 * len(frame(Stop(now=True))):
        read += len(far.recv(65536))
        pipe.flush()
    assert not pipe.has_unsent
    pipe.close()
    far.close()


def test_the_end_is_seen_after_the_last_words() -> None:
    near, far = socket.socketpair()
    pipe = Pipe(near)
    far.send(frame(Started("W")))
    far.close()

    assert pipe.receive() == [Started("W")]
    assert not pipe.is_open
    pipe.send(Quiet())
    pipe.close()


def test_nonsense_ends_the_talk_and_an_unknown_word_does_not() -> None:
    near, far = socket.socketpair()
    pipe = Pipe(near)
    far.send((3).to_bytes(4, "big") + b"abc" + frame(Started("W")))
    assert pipe.receive() == [Started("W")]
    far.send(b"\xff\xff\xff\xff")
    assert pipe.receive() == []

    assert not pipe.is_open
    pipe.close()
    far.close()
