"""A stream of any length needs the memory of a few chunks, and does not slow down."""

import json
import subprocess
import sys

import pytest

from jetq.jetstream.server import EmbeddedServer
from tests.house.inspection import ROOT

GROWTH = 8 * 1024
"""KiB that a process may grow meanwhile; 100,000 entries and their handles take ten times that."""
PARTS = 10

PROGRAM = """
import asyncio, json, sys, time
from jetq import App

url, namespace, kind, count, parts = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
app = App("stream", servers=url, namespace=namespace)

def peak():
    with open("/proc/self/status") as status:
        return int(status.read().split("VmHWM:")[1].split()[0])

def entries(count):
    for number in range(count):
        yield "x", {"number": number, "text": "hello"}

async def aentries(count):
    for entry in entries(count):
        yield entry

def run(count):
    for _ in app.enqueue_iter(entries(count)):
        yield

async def arun(count, tick):
    async with app:
        async for _ in app.aenqueue_iter(aentries(count)):
            tick()

def measure(count):
    times = [time.perf_counter()]
    done = 0
    def tick():
        nonlocal done
        done += 1
        if done % (count // parts) == 0:
            times.append(time.perf_counter())
    if kind == "sync":
        for _ in run(count):
            tick()
    else:
        asyncio.run(arun(count, tick))
    assert done == count
    return [later - sooner for sooner, later in zip(times, times[1:])]

measure(5000)
before = peak()
times = measure(count)
app.close()
print(json.dumps({"growth": peak() - before, "times": times}))
"""


@pytest.mark.alone
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "count", [10_000, pytest.param(100_000, marks=[pytest.mark.nightly, pytest.mark.timeout(120)])]
)
def test_a_stream_of_any_length_needs_the_memory_of_a_few_chunks(
    server: EmbeddedServer, namespace: str, kind: str, count: int
) -> None:
    arguments = [server.url, namespace, kind, str(count), str(PARTS)]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=110
    )
    measured = json.loads(ended.stdout)

    assert measured["growth"] < GROWTH
    first, last = sum(measured["times"][: PARTS // 2]), sum(measured["times"][PARTS // 2 :])
    assert last < 3 * first
