"""
orphans: processes that nobody else waits for.

In a container the first process inherits every process whose parent ended, and must wait for it when it ends; else
the dead pile up. Elsewhere that is not ours to do.
"""

import os
from collections.abc import Iterable
from typing import Final

from jetq.supervisor.child import Child
from jetq.wire.death import death_of

_FIRST: Final = 1


def reap_orphans(children: Iterable[Child], *, pid: int | None = None) -> int:
    """
    Wait for whatever has ended, if this is the first process; return how many strangers there were.

    Args:
        children: Our own, who are told of their end.
        pid: Of this process, as it sees itself.
    """
    if (os.getpid() if pid is None else pid) != _FIRST:
        return 0
    own, strangers = {child.pid: child for child in children}, 0
    while True:
        try:
            ended, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return strangers
        if not ended:
            return strangers
        child = own.get(ended)
        if child is None:
            strangers += 1
        else:
            child.ended(death_of(status, usage.ru_maxrss))
