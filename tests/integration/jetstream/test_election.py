"""One of several candidates leads, whatever happens to it, to the others, or to the server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jetq.errors import PermissionDeniedError, ServerTimeoutError, TopologyError
from jetq.jetstream.connection import Connection
from jetq.jetstream.election import MARGIN, RENEWALS, Election
from jetq.jetstream.server import EmbeddedServer
from jetq.jetstream.steady_clock import steady_clock
from jetq.jetstream.stream_message import StreamMessage, last_message
from jetq.model.events import Event, LeaderElected, LeadershipEnded
from jetq.observe.bus import Bus
from jetq.wire.names import Names
from tests.integration.watching import eventually
from tests.servers import TestServer, freeze

ROOT = Path(__file__).parents[3]
TTL = 1.0
TAKEOVER = TTL * (1 + 1.1 / RENEWALS)
"""Seconds after the last renewal until another one leads, at the latest."""
SLACK = 1.5


async def make_bucket(connection: Connection, namespace: str, ttl: float = TTL) -> None:
    bucket = Names(namespace).elections
    config = {
        "name": Names.bucket_stream(bucket),
        "subjects": [Names.bucket_subject(bucket)],
        "max_msgs_per_subject": 1,
        "max_age": round(ttl * 1e9),
        "duplicate_window": round(ttl * 1e9),
        "allow_rollup_hdrs": True,
        "deny_delete": True,
    }
    await connection.api(f"STREAM.CREATE.{config['name']}", config)


@pytest.fixture
async def bucket(connection: Connection, namespace: str) -> Names:
    await make_bucket(connection, namespace)
    return Names(namespace)


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def bus(told: list[Event]) -> Bus:
    bus = Bus()
    bus.listen(told.append)
    return bus


@pytest.fixture
async def other_connection(server: EmbeddedServer) -> AsyncIterator[Connection]:
    async with await Connection.open(server.address, name="other") as opened:
        yield opened


async def leader_of(connection: Connection, names: Names) -> StreamMessage | None:
    return await last_message(connection, names.bucket_stream(names.elections), names.election("janitor"))


async def test_one_of_two_candidates_leads_and_says_so(
    connection: Connection, bucket: Names, bus: Bus, told: list[Event]
) -> None:
    async with (
        Election(connection, bucket, "janitor", "one", bus=bus) as one,
        Election(connection, bucket, "janitor", "two", bus=bus) as two,
    ):
        await one.elected()
        assert (one.is_leader, two.is_leader) == (True, False)
        found = await leader_of(connection, bucket)

    assert found is not None
    assert (found.data, found.seq) == (b"one", one.term)
    assert [(event.component, event.name) for event in told if isinstance(event, LeaderElected)] == [("janitor", "one")]


async def test_a_leader_goes_on_leading_beyond_its_ttl(
    connection: Connection, bucket: Names, bus: Bus, told: list[Event]
) -> None:
    async with (
        Election(connection, bucket, "janitor", "one", bus=bus) as one,
        Election(connection, bucket, "janitor", "two", bus=bus) as two,
    ):
        term = one.term
        for _ in range(20):
            await asyncio.sleep(TTL / 10)
            assert (one.is_leader, two.is_leader) == (True, False)

        assert one.term == term
        assert not [event for event in told if isinstance(event, LeadershipEnded)]


async def test_who_steps_down_is_followed_at_once(
    connection: Connection, other_connection: Connection, namespace: str, bus: Bus
) -> None:
    await make_bucket(connection, namespace, ttl=60.0)
    names = Names(namespace)
    first = Election(connection, names, "janitor", "first", bus=bus)
    await first.__aenter__()
    async with Election(other_connection, names, "janitor", "second", bus=bus) as second:
        assert not second.is_leader
        term = first.term
        await first.__aexit__()
        async with asyncio.timeout(2.0):
            await second.elected()

        assert not first.is_leader
        assert second.term > term


async def test_two_components_have_leaders_of_their_own(connection: Connection, bucket: Names, bus: Bus) -> None:
    async with (
        Election(connection, bucket, "janitor", "one", bus=bus) as one,
        Election(connection, bucket, "task_scheduler", "two", bus=bus) as two,
    ):
        assert one.is_leader
        assert two.is_leader


async def test_a_renewal_whose_answer_was_lost_costs_no_leadership(
    connection: Connection, bucket: Names, bus: Bus, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = connection.request
    lost = 0

    async def forgetful(subject: str, *args: object, **kwargs: object) -> object:
        nonlocal lost
        answer = await request(subject, *args, **kwargs)  # type: ignore[arg-type]
        if subject == bucket.election("janitor") and lost < 5:
            lost += 1
            raise ServerTimeoutError(subject, 0.0)
        return answer

    async with Election(connection, bucket, "janitor", "one", bus=bus) as one:
        monkeypatch.setattr(connection, "request", forgetful)

        async def all_lost() -> bool:
            assert one.is_leader
            return lost == 5

        await eventually(all_lost)
        await asyncio.sleep(TTL)
        assert one.is_leader
        assert not [event for event in told if isinstance(event, LeadershipEnded)]


async def test_a_writing_of_unknown_time_extends_no_lease(
    connection: Connection, bucket: Names, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Election(connection, bucket, "janitor", "one", bus=bus) as one:
        until = one._until
        request = connection.request

        async def silent(subject: str, *args: object, **kwargs: object) -> object:
            answer = await request(subject, *args, **kwargs)  # type: ignore[arg-type]
            if subject == bucket.election("janitor"):
                raise ServerTimeoutError(subject, 0.0)
            return answer

        monkeypatch.setattr(connection, "request", silent)
        await asyncio.sleep(TTL)  # all its renewals are stored, and none of them is answered
        found = await leader_of(connection, bucket)

        assert found is not None
        assert found.data == b"one"
        assert one._until == until
        assert not one.is_leader
        monkeypatch.setattr(connection, "request", request)
        await one.elected()


async def test_a_key_that_is_gone_is_a_leadership_that_ended(
    connection: Connection, bucket: Names, bus: Bus, told: list[Event]
) -> None:
    async with Election(connection, bucket, "janitor", "one", bus=bus) as one:
        term = one.term
        await connection.api(f"STREAM.PURGE.{bucket.bucket_stream(bucket.elections)}")

        async def leads_anew() -> bool:
            return one.term > term

        await eventually(leads_anew)
        assert [event.name for event in told if isinstance(event, LeadershipEnded)] == ["one"]


@pytest.mark.alone
async def test_a_leader_without_a_server_acts_no_more_once_its_lease_is_over(
    own_server: TestServer, namespace: str, bus: Bus
) -> None:
    async with await Connection.open(own_server.address, name="test") as connection:
        await make_bucket(connection, namespace)
        async with Election(connection, Names(namespace), "janitor", "one", bus=bus) as one:
            own_server.freeze()
            frozen = time.monotonic()
            while one.is_leader:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
            led = time.monotonic() - frozen
            own_server.thaw()
            assert led <= TTL * (1 - MARGIN) + 0.1
            await one.elected()


async def test_a_leader_survives_a_restart_of_the_server(own_server: TestServer, namespace: str, bus: Bus) -> None:
    async with await Connection.open(own_server.address, name="test") as connection:
        await make_bucket(connection, namespace, ttl=10.0)
        async with Election(connection, Names(namespace), "janitor", "one", bus=bus) as one:
            term = one.term
            before = one._until
            await asyncio.to_thread(own_server.restart)

            async def renewed() -> bool:
                return one._until > before

            await eventually(renewed)
            assert one.is_leader
            assert one.term == term


async def test_no_bucket_is_said(connection: Connection, namespace: str, bus: Bus) -> None:
    with pytest.raises(TopologyError, match="no bucket of elections"):
        await Election(connection, Names(namespace), "janitor", "one", bus=bus).__aenter__()


async def test_a_user_without_the_right_is_no_candidate(namespace: str, bus: Bus) -> None:
    names = Names(namespace)
    users = """
        authorization { users = [
            { user: admin, password: s },
            { user: worker, password: s, permissions: {
                publish: ["$JS.API.STREAM.INFO.>", "$JS.API.INFO"], subscribe: ["_INBOX.>"] } }
        ] }
    """
    with TestServer.start(users, user_part="admin:s") as server:
        async with await Connection.open(server.address, name="admin") as admin:
            await make_bucket(admin, namespace)
        server.user_part = "worker:s"
        async with await Connection.open(server.address, name="worker") as connection:
            with pytest.raises(PermissionDeniedError, match=r"ELECTIONS\.janitor"):
                await Election(connection, names, "janitor", "one", bus=bus).__aenter__()


class Candidates:
    def __init__(self, url: str, namespace: str, log: Path) -> None:
        self._arguments = [url, namespace]
        self._log = log
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.jetstream.election_program", *self._arguments, name]
        process = subprocess.Popen([*command, str(self._log)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.processes[name] = process
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def acts(self) -> list[tuple[str, int, float]]:
        """Return who acted, in which term, and when."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [(name, int(term), float(at)) for name, term, at in map(str.split, lines)]

    async def act_of(self, name: str, *, since: float = 0.0) -> float:
        """Wait for an act of a candidate and return when it was."""
        found: list[float] = []

        async def acted() -> bool:
            found[:] = [at for who, _, at in self.acts() if who == name and at > since]
            return bool(found)

        await eventually(acted)
        return found[0]

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.send_signal(signal.SIGCONT)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def candidates(server: EmbeddedServer, bucket: Names, tmp_path: Path) -> Iterator[Candidates]:
    assert bucket
    started = Candidates(str(server.url), bucket.namespace, tmp_path / "log")
    yield started
    started.end()


@pytest.mark.faults
async def test_a_killed_leader_is_followed_within_its_ttl(candidates: Candidates) -> None:
    first = await asyncio.to_thread(candidates.start, "first")
    await candidates.act_of("first")
    await asyncio.to_thread(candidates.start, "second")
    first.kill()
    killed = time.monotonic()
    followed = await candidates.act_of("second")

    assert followed - killed < TAKEOVER + SLACK


@pytest.mark.faults
async def test_a_frozen_leader_does_not_act_after_its_lease(candidates: Candidates) -> None:
    first = await asyncio.to_thread(candidates.start, "first")
    await candidates.act_of("first")
    await asyncio.to_thread(candidates.start, "second")
    freeze(first.pid)
    frozen = time.monotonic()
    followed = await candidates.act_of("second")
    os.kill(first.pid, signal.SIGCONT)
    woken = time.monotonic()
    await candidates.act_of("second", since=woken + TTL)

    assert followed > frozen
    acts = candidates.acts()
    assert [at for who, _, at in acts if who == "first" and at > followed] == []
    assert len({term for _, term, _ in acts}) == 2


async def test_a_dead_leaders_key_is_taken_as_soon_as_it_is_forgotten(
    connection: Connection, namespace: str, other_connection: Connection, bus: Bus
) -> None:
    names, ttl = Names(namespace), 3.0
    await make_bucket(connection, namespace, ttl)
    async with (
        Election(connection, names, "janitor", "one", bus=bus) as one,
        Election(other_connection, names, "janitor", "two", bus=bus) as two,
    ):
        written = one._until - ttl * (1 - MARGIN)
        await one._ends.aclose()  # as if it was dead: it renews no more, and leaves its key
        await two.elected()

        assert two.followed == "one"
        assert steady_clock() - written < ttl + 0.8
        one._revision = 0
