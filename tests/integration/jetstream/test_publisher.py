import asyncio
from collections.abc import AsyncIterator

import pytest

from jetq.errors import MessageTooLargeError, SequenceConflictError, ServerTimeoutError
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.jetstream.publisher import WINDOW, Publication, Publisher
from jetq.wire.names import EXPECT_SUBJECT_SEQUENCE
from tests.servers import TestServer

STREAM = {"name": "LOG", "subjects": ["log.>"], "storage": "file"}


@pytest.fixture
async def own_connection(own_server: TestServer) -> AsyncIterator[Connection]:
    async with await Connection.open(own_server.address, name="test") as connection:
        await connection.api("STREAM.CREATE.LOG", STREAM)
        yield connection


async def test_a_publication_returns_its_sequence(backend: Backend) -> None:
    subject = backend.names.record("x")

    first = await backend.publisher.publish(Publication(subject, b"{}"))
    second = await backend.publisher.publish(Publication(subject, b"{}"))

    assert second == first + 1


async def test_a_lost_compare_and_swap_is_refused(backend: Backend) -> None:
    publication = Publication(backend.names.record("x"), b"{}", {EXPECT_SUBJECT_SEQUENCE: "0"})
    await backend.publisher.publish(publication)

    with pytest.raises(SequenceConflictError):
        await backend.publisher.publish(publication)


async def test_a_batch_answers_each_message_in_order(backend: Backend) -> None:
    new = {EXPECT_SUBJECT_SEQUENCE: "0"}
    publications = [Publication(backend.names.record(name), b"{}", new) for name in ("a", "b", "a", "c")]

    answers = await backend.publisher.publish_many(publications)

    kinds = [type(answer) for answer in answers]
    assert kinds == [int, int, SequenceConflictError, int]


async def test_more_messages_than_the_window_all_arrive(backend: Backend) -> None:
    publications = [Publication(backend.names.record(f"t{index}"), b"{}") for index in range(WINDOW + 500)]

    answers = await backend.publisher.publish_many(publications)

    assert all(isinstance(answer, int) for answer in answers)


async def test_a_message_that_is_too_large_fails_alone_and_keeps_the_connection(backend: Backend) -> None:
    large = Publication(backend.names.record("large"), b"x" * (backend.connection.max_payload - 5), {"A": "b"})

    answers = await backend.publisher.publish_many([large, Publication(backend.names.record("small"), b"{}")])

    assert isinstance(answers[0], MessageTooLargeError)
    assert isinstance(answers[1], int)
    assert backend.connection.generation == 1


async def test_publishing_where_no_stream_listens_times_out(backend: Backend) -> None:
    with pytest.raises(ServerTimeoutError):
        await backend.publisher.publish(Publication("nobody.listens", b"{}"), timeout=0.3)


async def test_publications_survive_a_restart_of_the_server(own_server: TestServer, own_connection: Connection) -> None:
    publisher = await Publisher.start(own_connection, timeout=20.0)
    own_server.kill()

    waiting = asyncio.create_task(publisher.publish_many([Publication(f"log.{index}", b"{}") for index in range(300)]))
    await asyncio.sleep(0)
    await asyncio.to_thread(own_server.run)
    answers = await waiting

    assert all(isinstance(answer, int) for answer in answers)


async def test_publications_under_way_when_the_server_dies_are_sent_again(
    own_server: TestServer, own_connection: Connection
) -> None:
    publisher = await Publisher.start(own_connection, timeout=20.0)
    publications = [Publication(f"log.{index}", b"{}", {EXPECT_SUBJECT_SEQUENCE: "0"}) for index in range(1500)]

    waiting = asyncio.create_task(publisher.publish_many(publications))
    await asyncio.sleep(0.005)
    own_server.kill()
    await asyncio.to_thread(own_server.run)
    answers = await waiting

    info = await own_connection.api("STREAM.INFO.LOG")
    assert info["state"]["messages"] == len(publications)
    assert all(isinstance(answer, (int, SequenceConflictError)) for answer in answers)


async def test_closing_ends_every_publication(own_server: TestServer, own_connection: Connection) -> None:
    publisher = await Publisher.start(own_connection, timeout=60.0)
    own_server.kill()
    waiting = asyncio.create_task(publisher.publish(Publication("log.x", b"{}")))
    await asyncio.sleep(0)

    publisher.close()

    with pytest.raises(ServerTimeoutError):
        await waiting


async def test_a_message_that_a_renewed_connection_does_not_take_is_told(
    own_server: TestServer, own_connection: Connection
) -> None:
    publisher = await Publisher.start(own_connection, timeout=20.0)
    own_server.freeze()
    large = asyncio.ensure_future(publisher.publish(Publication("log.large", bytes(200_000))))
    small = asyncio.ensure_future(publisher.publish(Publication("log.small", b"{}")))
    await asyncio.sleep(0)
    own_server.extra += "\nmax_payload: 100000"
    await asyncio.to_thread(own_server.kill)
    await asyncio.to_thread(own_server.run)

    with pytest.raises(MessageTooLargeError):
        await large
    assert await small > 0
    publisher.close()
