"""A log that several processes write, and whose lines stay whole."""

import fcntl
import os
import subprocess
import sys
import tempfile
import time

import pytest

from jetq.observe.line_stream import shared_log

WRITER = """
import sys
from jetq.observe.line_stream import shared_log
stream = shared_log(1, int(sys.argv[1]))
for number in range(200):
    stream.write(sys.argv[2] * (20_000 if number % 10 == 0 else 50) + "\\n")
"""

HOLDER = """
import fcntl, sys, time
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(1000)
"""


@pytest.mark.timeout(60)
def test_long_lines_of_several_processes_stay_whole() -> None:
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as lock:
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(lock.fileno()), letter], stdout=writing, pass_fds=[lock.fileno()]
            )
            for letter in "abc"
        ]
        os.close(writing)
        with os.fdopen(reading) as log:
            lines = log.read().splitlines()
        assert [writer.wait() for writer in writers] == [0, 0, 0]

    assert len(lines) == 600
    assert {len(set(line)) for line in lines} == {1}
    assert {len(line) for line in lines} == {50, 20_000}


def test_who_was_stopped_with_the_lock_silences_nobody() -> None:
    with tempfile.TemporaryFile() as lock, tempfile.TemporaryFile() as log:
        command = [sys.executable, "-c", HOLDER, str(lock.fileno())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[lock.fileno()]) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            before = time.monotonic()
            shared_log(log.fileno(), lock.fileno()).write("a line\n")
            took = time.monotonic() - before
            holder.kill()
        log.seek(0)
        assert log.read() == b"a line\n"
    assert took < 1.0


def test_it_is_a_stream() -> None:
    with tempfile.TemporaryFile() as lock, tempfile.TemporaryFile() as log:
        stream = shared_log(log.fileno(), lock.fileno())
        assert (stream.isatty(), stream.writable(), stream.fileno()) == (False, True, log.fileno())
        assert stream.write("ü\ud800\n") == 3
        log.seek(0)
        assert log.read() == "ü\\ud800\n".encode()
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
