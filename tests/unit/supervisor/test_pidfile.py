"""A file that says who runs, and lets nobody run twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetq.errors import AlreadyRunningError, InvalidSettingError
from jetq.supervisor.pidfile import pidfile

HOLDER = """
import sys, time
from pathlib import Path
from jetq.supervisor.pidfile import pidfile
with pidfile(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_it_holds_the_number_of_this_process_and_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "worker.pid"

    with pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"
    assert not path.exists()


def test_without_a_path_there_is_none() -> None:
    with pidfile(None):
        pass


def test_a_second_one_is_refused_and_told_who_has_it_and_a_stale_file_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "worker.pid"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunningError, match=f"is held by process {holder.pid}, which runs"):
            pidfile(path).__enter__()
        holder.kill()
        holder.wait()

        assert path.read_text() == f"{holder.pid}\n"
        with pidfile(path):
            assert path.read_text() == f"{os.getpid()}\n"


def test_the_number_of_a_process_that_lives_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "worker.pid"
    path.write_text(f"{os.getppid()}\n")

    with pidfile(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="expected --pidfile to be a file to write"):
        pidfile(tmp_path / "nowhere" / "worker.pid").__enter__()
