"""Scenarios in which the server cannot write: its disk is full, or its limit is reached."""

import asyncio
import contextlib
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jetq.errors import JetqError
from tests.faults.matrix import load
from tests.faults.matrix.scene import Scenario, Scene

SIZE = 48 * 1024 * 1024
"""Bytes of the small disk."""


@contextmanager
def small_disk(folder: Path) -> Generator[Path]:
    """Mount a small file system in memory; where that is not permitted, the test is skipped."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as failed:
        why = failed.stderr if isinstance(failed, subprocess.CalledProcessError) else failed
        pytest.skip(f"a small disk cannot be mounted here: {str(why).strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607 - as above


def fill(file: Path) -> None:
    """Write until there is no space left."""
    with file.open("ab", buffering=0) as stream:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while stream.write(bytes(size)):
                    pass


async def disk_full(scene: Scene) -> None:
    """Let something else fill the disk of the store, then make room, and restart the server."""
    disk = scene.keep(small_disk(scene.folder / "disk"))
    server = scene.serve(store=disk / "store", limits="max_file_store: 1GB")
    await scene.begin(services=1)
    other = disk / "other"
    scene.down("disk")
    await asyncio.to_thread(fill, other)
    await asyncio.sleep(scene.span(8, 30))
    other.unlink()
    await asyncio.to_thread(server.restart)
    scene.up("disk")
    await scene.goes_on()


async def store_full(scene: Scene) -> None:
    """Let waiting tasks reach the limit of the server's store, then delete them."""
    scene.environment[load.QUICK] = "1"
    scene.serve(limits="max_file_store: 8MB")
    await scene.begin(services=1)
    scene.down("space")
    async with scene.app() as app:
        with contextlib.suppress(JetqError):
            while True:
                await app.aenqueue("ballast", "." * 100_000, delay=3600)
        await asyncio.sleep(scene.span(5, 30))
        await app.select(task_type="ballast").adelete()
    scene.up("space")
    await scene.goes_on()


SCENARIOS = (
    Scenario(
        "disk-full",
        "the server's disk is full",
        "Another program fills the disk of the store, and removes its file some seconds later. nats-server 2.15 "
        "answers no publish then, logs `no space left on device`, and must be restarted once there is space. Until "
        "then `aenqueue` raises an `EnqueueTimeoutError` that names the disk; handlers that run go on, and their "
        "results are written after that. Keep an eye on the disk, and set `max_file_store` to less than it holds.",
        disk_full,
    ),
    Scenario(
        "store-full",
        "the limit of the server's store is reached",
        "Tasks that wait reach `max_file_store`, and are deleted some seconds later. `aenqueue` raises "
        "`StoreFullError`; workers log `delivery left` and try again. nats-server 2.15 forgets the delayed tasks and "
        "retries that fall due meanwhile: the janitor brings them with its next pass (a quick one here, else within "
        "ten minutes), or `jetq tasks repair` after half a minute.",
        store_full,
        often=False,
    ),
)
