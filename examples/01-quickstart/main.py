"""
Measure files: one task a file, run by a worker on a NATS server that this program starts and stops.

    python examples/01-quickstart/main.py [PATH ...]

PATHs are files or folders; without any, the text files of this repository are measured.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from jetq import App, EmbeddedServer, JetqError, Terminate, Worker

REPOSITORY = os.path.relpath(Path(__file__).resolve().parents[2])
TEXT = {".cfg", ".go", ".ini", ".json", ".md", ".py", ".toml", ".txt"}

app = App("quickstart")


@dataclass(order=True)
class Measures:
    """What is known of a file once its task is complete."""

    size: int
    lines: int
    words: int
    sha256: str


@app.task("file:measure")
def measure(path: str) -> Measures:
    """Read one file. A sync handler runs in a thread; its arguments and its result travel as JSON."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Terminate(f"cannot read it: {error.strerror}") from error  # any other error would be retried
    return Measures(len(data), data.count(b"\n"), len(data.split()), hashlib.sha256(data).hexdigest())


async def run(paths: list[Path], console: Console) -> dict[Path, Measures | JetqError]:
    """Enqueue a task for each file, let a worker run them here, and return how each ended."""
    ends: dict[Path, Measures | JetqError] = {}
    with EmbeddedServer.start() as server:
        app.connect_to(server.address)
        async with Worker(app):
            handles = await app.aenqueue_many(measure.s(path=str(path)) for path in paths)
            tasks = list(zip(paths, handles, strict=True))
            for path, handle in track(tasks, "Measuring", console=console):
                try:
                    ends[path] = await handle.aresult()
                except JetqError as error:
                    ends[path] = error
    return ends


def find_files(arguments: list[str]) -> Iterator[Path]:
    """Yield the files that are meant: folders are searched through, what is hidden in them is left out."""
    for start in map(Path, arguments or [REPOSITORY]):
        for path in sorted(start.rglob("*")) if start.is_dir() else [start]:
            hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(start).parts)
            if not path.is_dir() and not hidden and (arguments or path.suffix in TEXT):
                yield path


def show(ends: dict[Path, Measures | JetqError], console: Console) -> None:
    """Print the largest files, then what went wrong, then the sums."""
    measured = sorted(((end, path) for path, end in ends.items() if isinstance(end, Measures)), reverse=True)
    table = Table(title=f"The largest of {len(ends):,} files")
    table.add_column("file", overflow="fold")
    for name in ("size", "lines", "words", "sha-256"):
        table.add_column(name, justify="right")
    for found, path in measured[:20]:
        table.add_row(str(path), f"{found.size:,}", f"{found.lines:,}", f"{found.words:,}", found.sha256[:12])
    console.print(table)
    for path, end in ends.items():
        if isinstance(end, JetqError):
            console.print(f"{path}: {end}", style="red", markup=False)
    lines, words = sum(found.lines for found, _ in measured), sum(found.words for found, _ in measured)
    console.print(f"{len(measured):,} of {len(ends):,} files measured: {lines:,} lines, {words:,} words")


if __name__ == "__main__":
    screen = Console()
    try:
        show(asyncio.run(run(list(find_files(sys.argv[1:])), screen)), screen)
    except KeyboardInterrupt:
        sys.exit("interrupted")
