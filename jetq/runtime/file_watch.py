"""
file_watch: notice that Python files changed.

By watchfiles where it is installed, else by looking at all of them once a second.
"""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

_POLL: Final = 1.0
_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})


def watch(folder: Path, on_change: Callable[[list[Path]], None], stopped: threading.Event) -> None:
    """
    Call *on_change* with the changed files until *stopped* is set. Blocks; made for a thread of its own.

    Args:
        folder: With everything below it; hidden folders and installed packages are left out.
        on_change: Called in this thread, with the files that changed together.
        stopped: Ends it, within a second or so.
    """
    try:
        import watchfiles  # noqa: PLC0415 - an optional extra
    except ImportError:
        _poll(folder, on_change, stopped)
        return
    wanted = watchfiles.PythonFilter(ignore_paths=[])
    for changes in watchfiles.watch(folder, watch_filter=wanted, stop_event=stopped, raise_interrupt=False):
        on_change(sorted(Path(path) for _, path in changes))


def _poll(folder: Path, on_change: Callable[[list[Path]], None], stopped: threading.Event) -> None:
    before = dict(_stamps(folder))
    while not stopped.wait(_POLL):
        now = dict(_stamps(folder))
        changed = {path for path, _ in before.items() ^ now.items()}
        before = now
        if changed:
            on_change(sorted(changed))


def _stamps(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield every Python file with the time of its last change."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in files:
            path = Path(parent, name)
            if path.suffix == ".py":
                try:
                    yield path, path.stat().st_mtime_ns
                except FileNotFoundError:
                    continue
