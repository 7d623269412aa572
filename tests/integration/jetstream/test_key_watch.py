"""Whoever watches keys of a bucket knows them all, whatever happens to the consumer and the connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jetq.errors import RequestRefusedError
from jetq.jetstream.backend import Backend
from jetq.jetstream.key_watch import KeyWatch, WatchedKey
from tests.integration.watching import eventually


class Watcher:
    """What a watch handed over."""

    def __init__(self, backend: Backend) -> None:
        self.keys: dict[str, bytes] = {}
        self.complete: list[set[str]] = []
        self.backend = backend
        self.watch = KeyWatch(
            backend.connection,
            backend.schedules.stream,
            backend.names.stored_schedules_subject,
            on_key=self.take,
            on_complete=self.complete.append,
        )

    def take(self, key: WatchedKey) -> None:
        self.keys[key.name] = key.data

    async def until(self, keys: dict[str, bytes], complete: int = 1) -> None:
        async def there() -> bool:
            return self.keys == keys and len(self.complete) >= complete

        await eventually(there)


@asynccontextmanager
async def watching(backend: Backend) -> AsyncIterator[Watcher]:
    watcher = Watcher(backend)
    task = asyncio.create_task(watcher.watch.run())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def write(backend: Backend, name: str, data: bytes) -> None:
    await backend.schedules.write(name, data, (await backend.schedules.read(name)).sequence)


async def consumers(backend: Backend) -> list[str]:
    answer = await backend.connection.api(f"CONSUMER.NAMES.{backend.schedules.stream}")
    return [name for name in answer["consumers"] or () if name.startswith("jetq-watch")]


async def test_it_brings_what_is_there_and_what_comes(backend: Backend) -> None:
    await write(backend, "a", b"1")
    await write(backend, "a", b"2")
    async with watching(backend) as watcher:
        await watcher.until({"a": b"2"})
        await write(backend, "b", b"3")
        await write(backend, "a", b"4")
        await watcher.until({"a": b"4", "b": b"3"})
        await backend.schedules.remove("a", (await backend.schedules.read("a")).sequence)
        await watcher.until({"a": b"", "b": b"3"})

    assert watcher.complete == [{"a"}]


async def test_a_bucket_without_keys_is_complete_at_once(backend: Backend) -> None:
    async with watching(backend) as watcher:
        await watcher.until({})

    assert watcher.complete == [set()]


@pytest.mark.parametrize("how", ["reconnect", "gap"])
async def test_what_it_missed_comes_and_what_is_gone_is_told(backend: Backend, how: str) -> None:
    await write(backend, "a", b"1")
    await write(backend, "b", b"1")
    async with watching(backend) as watcher:
        await watcher.until({"a": b"1", "b": b"1"})
        await backend.connection.api(
            f"STREAM.PURGE.{backend.schedules.stream}", {"filter": backend.names.stored_schedule("a")}
        )
        if how == "reconnect":
            backend.connection.rebuild("as the test wants")
        else:
            watcher.watch._delivered -= 1
        await write(backend, "c", b"1")
        await watcher.until({"a": b"1", "b": b"1", "c": b"1"}, complete=2)

    assert watcher.complete[-1] - {"c"} == {"b"}


async def test_its_consumer_goes_when_it_ends(backend: Backend) -> None:
    async with watching(backend) as watcher:
        await watcher.until({})
        there = await consumers(backend)

    async def gone() -> bool:
        return not await consumers(backend)

    assert len(there) == 1
    await eventually(gone)


async def test_a_bucket_that_is_not_there_is_told(backend: Backend) -> None:
    watcher = Watcher(backend)
    await backend.connection.api(f"STREAM.DELETE.{backend.schedules.stream}")

    with pytest.raises(RequestRefusedError):
        await watcher.watch.run()
