"""
client: the process in which a peer's own client enqueues: ``python -m bench.peers.client MODULE CLASS``.

It runs in the peer's environment, reads one command a line from its input, and answers each with one line of JSON. What
the peer's libraries print goes to standard error.
"""

import asyncio
import gc
import importlib
import json
import os
import random
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench import body
from bench.peers.adapter import Adapter

ABREAST: Final = 100
BULK: Final = 2_000
_POLL: Final = 0.0005
_PATIENCE: Final = 20.0
_PAUSE: Final = 0.02


async def describe(adapter: Adapter) -> dict[str, Any]:
    """Say what it is, and which versions it has."""
    versions: dict[str, str] = {}
    for name in adapter.distributions:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    fields = ("configuration", "stores_results", "waits", "is_async", "has_bulk", "has_blocking", "tasks", "singles")
    return {**{name: getattr(adapter, name) for name in fields}, "versions": versions, "commands": adapter.commands()}


async def reset(adapter: Adapter) -> dict[str, Any]:
    """Drop all."""
    await adapter.reset()
    return {}


async def enqueue(adapter: Adapter, mode: str, count: int, first: int) -> dict[str, Any]:
    """Enqueue so many; tell the seconds."""
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    indices = range(first, first + count)
    if mode == "blocking":
        await asyncio.to_thread(_one_by_one, adapter, indices)
    elif mode == "bulk":
        for start in range(0, count, BULK):
            await adapter.enqueue_bulk([body.payload(index) for index in indices[start : start + BULK]])
    else:
        left = iter(indices)

        async def some() -> None:
            for index in left:
                await adapter.enqueue(body.payload(index))

        await asyncio.gather(*(some() for _ in range(ABREAST if mode == "abreast" else 1)))
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}


def _one_by_one(adapter: Adapter, indices: range) -> None:
    for index in indices:
        adapter.enqueue_blocking(body.payload(index))


async def starts(adapter: Adapter, samples: int, notes: str) -> dict[str, Any]:
    """Enqueue single tasks, each after the one before has begun; their notes tell the rest."""
    path = Path(notes)
    done = body.count(path)
    for number in range(samples):
        await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
        await adapter.enqueue(body.payload(number))
        done += 1
        limit = time.monotonic() + _PATIENCE
        while body.count(path) < done:
            if time.monotonic() > limit:
                raise TimeoutError(f"a task did not begin in {_PATIENCE:g} s")
            await asyncio.sleep(_POLL)
    return {}


async def round_trips(adapter: Adapter, samples: int) -> dict[str, Any]:
    """Enqueue single tasks and wait for their results; tell the milliseconds."""
    times: list[float] = []
    for number in range(samples):
        await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - no secret
        payload = body.payload(number)
        began = time.perf_counter()
        found = await adapter.result(await adapter.enqueue(payload), _PATIENCE)
        times.append((time.perf_counter() - began) * 1e3)
        if found["index"] != number:
            raise ValueError(f"a wrong result: {found!r}")
    return {"milliseconds": times}


async def count_results(adapter: Adapter) -> dict[str, Any]:
    """Tell how many results there are."""
    return {"count": await adapter.count_results()}


_ACTIONS: Final = {action.__name__: action for action in (describe, reset, enqueue, starts, round_trips, count_results)}


async def main(adapter: Adapter, answers_to: int) -> None:
    """Answer until the input ends."""
    with os.fdopen(answers_to, "w", buffering=1) as answers:
        is_open = False
        while line := await asyncio.to_thread(sys.stdin.readline):
            given = json.loads(line)
            action = given.pop("action")
            try:
                if action != "describe" and not is_open:
                    await adapter.open()
                    is_open = True
                answer = await _ACTIONS[action](adapter, **given)
            except Exception as error:  # noqa: BLE001 - who asked decides
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
        if is_open:
            async with asyncio.timeout(_PATIENCE):  # some must close in the task that opened them
                await adapter.close()


def load(module: str, name: str) -> Adapter:
    """Return an adapter, with the event loop that it wants."""
    adapter: Adapter = getattr(importlib.import_module(f"bench.peers.{module}"), name)()
    if adapter.loop == "uvloop":
        import uvloop  # noqa: PLC0415 - not in every environment

        uvloop.install()
    return adapter


if __name__ == "__main__":
    answers_to = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(main(load(sys.argv[1], sys.argv[2]), answers_to))
