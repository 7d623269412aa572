"""The first process of a container waits for everybody who has nobody else."""

import subprocess
import sys

import pytest

from jetq.supervisor.orphans import reap_orphans

FIRST = """
import ctypes, os, subprocess, time
from jetq.supervisor.orphans import reap_orphans

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
assert ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0) == 0
subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)
seen, until = 0, time.monotonic() + 20
while seen == 0 and time.monotonic() < until:
    seen += reap_orphans([], pid=1)
print(seen)
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("none left")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only there may a process ask for orphans")
def test_orphans_are_waited_for() -> None:
    ended = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True)

    assert ended.stdout == "1\nnone left\n"


def test_elsewhere_they_are_not_ours() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        assert reap_orphans([]) == 0
        assert child.wait() == 0
