"""The processes of this machine, as /proc tells."""

import contextlib
from pathlib import Path


def running(word: bytes) -> list[int]:
    """Return the processes whose command line holds a word."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and word in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def lives(pid: int) -> bool:
    """Tell whether a process is there and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
