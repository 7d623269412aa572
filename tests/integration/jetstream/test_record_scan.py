import itertools
from collections.abc import Callable

import pytest

from jetq.errors import ServerTimeoutError
from jetq.jetstream import record_scan
from jetq.jetstream.connection import Connection, Incoming
from jetq.jetstream.message import Message
from jetq.jetstream.record_scan import ScannedRecord, StoreExtent, measure_store, scan_records
from jetq.jetstream.topology import Topology
from jetq.settings import StoreSettings
from jetq.wire.names import Names
from tests.integration import golayout


@pytest.fixture
async def names(connection: Connection, namespace: str) -> Names:
    names = Names(namespace)
    await Topology(connection, names, StoreSettings()).ensure([])
    return names


async def fill(connection: Connection, names: Names, count: int, size: int = 2) -> None:
    for number in range(count - 1):
        connection.send(names.record(f"t{number}"), b"x" * size)
    await connection.request(names.record(f"t{count - 1}"), b"x" * size)


async def scan(connection: Connection, names: Names, first: int, last: int) -> list[ScannedRecord]:
    seen: list[ScannedRecord] = []
    await scan_records(connection, names, seen.append, first=first, last=last)
    return seen


async def test_records_are_read_in_the_order_of_their_writing(connection: Connection, names: Names) -> None:
    await fill(connection, names, 30)
    await connection.request(names.record("t3"), b"again")

    seen = await scan(connection, names, 1, 31)

    order = [f"t{number}" for number in range(30) if number != 3] + ["t3"]
    assert [entry.task_id for entry in seen] == order
    assert seen[-1].data == b"again"
    assert [entry.sequence for entry in seen] == [number for number in range(1, 32) if number != 4]
    assert all(earlier.written <= later.written for earlier, later in itertools.pairwise(seen))


async def test_only_the_asked_part_is_read(connection: Connection, names: Names) -> None:
    await fill(connection, names, 30)

    assert [entry.sequence for entry in await scan(connection, names, 10, 19)] == list(range(10, 20))
    assert await scan(connection, names, 31, 99) == []
    assert await scan(connection, names, 5, 4) == []


@pytest.mark.parametrize("batch", [1, 7, 30])
async def test_many_batches_are_one_scan(
    connection: Connection, names: Names, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_scan, "_BATCH", batch)
    await fill(connection, names, 30)

    assert [entry.sequence for entry in await scan(connection, names, 1, 30)] == list(range(1, 31))


async def test_a_batch_of_large_records_is_cut_by_its_bytes(
    connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_scan, "_BATCH_BYTES", 0)  # so that two of the largest messages fill it
    await fill(connection, names, 12, size=900_000)
    batches: list[int] = []
    hand_over = record_scan._Scan._hand_over

    def noting(scan: record_scan._Scan, visit: Callable[[ScannedRecord], None]) -> None:
        batches.append(len(scan._batch))
        hand_over(scan, visit)

    monkeypatch.setattr(record_scan._Scan, "_hand_over", noting)

    assert [len(entry.data) for entry in await scan(connection, names, 1, 12)] == [900_000] * 12
    assert batches == [2] * 6


@pytest.mark.parametrize(("purge", "rest"), [({"seq": 29}, [29, 30]), ({}, [])], ids=["most", "all"])
async def test_records_that_are_removed_meanwhile_are_not_waited_for(
    connection: Connection,
    names: Names,
    monkeypatch: pytest.MonkeyPatch,
    purge: dict[str, int],
    rest: list[int],
) -> None:
    monkeypatch.setattr(record_scan, "_BATCH", 5)
    await fill(connection, names, 30)
    pull = record_scan._Scan._pull

    async def purging(scan: record_scan._Scan) -> None:
        if scan.next == 6:
            await connection.api(f"STREAM.PURGE.{names.tasks}", purge)
        await pull(scan)

    monkeypatch.setattr(record_scan._Scan, "_pull", purging)
    seen = await scan(connection, names, 1, 30)

    assert [entry.sequence for entry in seen] == [1, 2, 3, 4, 5, *rest]


async def test_a_scan_goes_on_with_another_consumer_when_it_loses_its_own(
    connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_scan, "_BATCH", 5)
    await fill(connection, names, 30)
    seen: list[int] = []

    def visit(entry: ScannedRecord) -> None:
        seen.append(entry.sequence)
        if entry.sequence == 10:
            for consumer in consumers:
                connection.send(
                    f"{connection.api_prefix}.CONSUMER.DELETE.{names.tasks}.{consumer}", b"", reply="_INBOX.x"
                )

    consumers: list[str] = []
    api = connection.api

    async def noting(action: str, body: object = None, *, timeout: float | None = None) -> dict[str, object]:
        if action.startswith("CONSUMER.CREATE"):
            consumers.append(action.rpartition(".")[2])
        return await api(action, body, timeout=timeout)

    monkeypatch.setattr(connection, "api", noting)
    await scan_records(connection, names, visit, first=1, last=30)

    assert seen == list(range(1, 31))
    assert len(consumers) == 2


async def test_a_record_that_was_lost_on_the_way_is_read_again(
    connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(connection, names, 30)
    take = record_scan._Scan._take
    lost: list[str] = []

    def losing(scan: record_scan._Scan, message: Incoming) -> None:
        if message.subject.endswith(".t9") and not lost:
            lost.append(message.subject)
            message = Message("", "", b"", b"NATS/1.0 408 Batch Completed\r\n\r\n")
        take(scan, message)

    monkeypatch.setattr(record_scan._Scan, "_take", losing)

    assert [entry.sequence for entry in await scan(connection, names, 1, 30)] == list(range(1, 31))
    assert lost


async def test_a_scan_that_gets_no_answers_ends(
    connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_scan, "_PATIENCE", 0.05)
    await fill(connection, names, 3)
    send = connection.send

    def deaf(subject: str, data: bytes = b"", *, reply: str = "", headers: dict[str, str] | None = None) -> bool:
        return True if ".CONSUMER.MSG.NEXT." in subject else send(subject, data, reply=reply, headers=headers)

    monkeypatch.setattr(connection, "send", deaf)

    with pytest.raises(ServerTimeoutError, match="no answer to the reading of"):
        await scan(connection, names, 1, 3)


async def test_no_consumer_is_left_behind(connection: Connection, names: Names) -> None:
    await fill(connection, names, 30)

    await scan(connection, names, 1, 10)

    assert (await connection.api(f"STREAM.INFO.{names.tasks}"))["state"]["consumer_count"] == 0


async def test_a_store_of_go_is_read_as_well(connection: Connection, namespace: str) -> None:
    names = Names(namespace)
    await golayout.make_store(connection, namespace)
    await fill(connection, names, 5)

    assert [entry.task_id for entry in await scan(connection, names, 1, 5)] == ["t0", "t1", "t2", "t3", "t4"]


async def test_the_extent_of_a_store_is_that_of_its_messages(connection: Connection, names: Names) -> None:
    assert await measure_store(connection, Names("NOWHERE")) == StoreExtent(0, 0, 0, 0)
    await fill(connection, names, 5)
    await connection.request(names.record("t0"), b"again")

    extent = await measure_store(connection, names)

    assert (extent.first, extent.last, extent.messages) == (2, 6, 5)
    assert extent.size > 0


async def test_a_visit_may_end_a_scan_which_another_one_continues(
    connection: Connection, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_scan, "_BATCH", 4)
    await fill(connection, names, 30)
    seen: list[int] = []

    def visit(entry: ScannedRecord) -> bool:
        seen.append(entry.sequence)
        return len(seen) % 10 == 0

    begins = [1]
    while begins[-1] <= 25:
        begins.append(await scan_records(connection, names, visit, first=begins[-1], last=25))

    assert begins == [1, 11, 21, 26]
    assert seen == list(range(1, 26))
