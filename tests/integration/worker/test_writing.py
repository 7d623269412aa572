"""What must be written is written, whatever its size."""

from datetime import UTC, datetime

import pytest
from msgspec import Raw

from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.model.record import Run, TaskRecord
from jetq.model.state import State
from jetq.model.transition import claimed
from jetq.wire.codec import new_document
from jetq.wire.dependencies import Gift, ParentError, dependency_values, encode_gifts, references
from jetq.wire.names import EXPECT_SUBJECT_SEQUENCE
from jetq.worker.writing import write_fitting


@pytest.mark.parametrize("key", ["payload", "somebody_elses"])
async def test_a_claim_that_does_not_fit_drops_what_makes_it_too_large(backend: Backend, key: str) -> None:
    record = TaskRecord(id="one", type="x", queue="DEFAULT", state=State.NEW, created=datetime.now(UTC), payload=b"{}")
    document = new_document(record)
    room = backend.connection.max_payload - len(document.encode()) - 150
    document.fields["theirs"] = "kept"
    document.fields[key] = "A" * (room // 4 * 4)
    publication = Publication(backend.names.record("one"), document.encode(), {EXPECT_SUBJECT_SEQUENCE: "0"})
    sequence = await backend.publisher.publish(publication)
    stored = await backend.tasks.read("one")
    assert stored is not None

    run = Run("a" * 26, 1, "b" * 8)
    claim = stored.document.updated(claimed(stored.record, run, datetime.now(UTC)))
    written = await write_fitting(backend.tasks, claim, sequence, ttl=lambda _record: None)

    assert written.record.run == run
    assert key not in written.document.fields or written.document.fields[key] is None
    assert ("theirs" in written.document.fields) == (key == "payload")


@pytest.mark.parametrize(("state", "kept"), [(State.ACTIVE, ["A", "B"]), (State.COMPLETE, [])], ids=["runs", "ended"])
async def test_results_of_parents_that_do_not_fit_are_read_again_by_who_runs(
    backend: Backend, state: State, kept: list[str]
) -> None:
    now, large = datetime.now(UTC), Raw(b'"%b"' % (b"x" * backend.connection.max_payload))
    gifts = {
        "A": Gift(large, now),
        "B": Gift(Raw(b"1"), now),
        "C": Gift(error=ParentError("ValueError", "bad", "expired")),
    }
    record = TaskRecord(
        id="one",
        type="x",
        queue="DEFAULT",
        state=state,
        created=now,
        dependencies=[*gifts],
        load_dependencies=True,
        dependency_results=encode_gifts(gifts),
    )

    written = await write_fitting(backend.tasks, new_document(record), 0, ttl=lambda _record: None)

    assert references(written.record) == kept
    assert list(dependency_values(written.record)) == (["C"] if kept else [])


async def test_what_fits_keeps_the_bytes_and_keys_of_others(backend: Backend) -> None:
    created = "2026-11-24T03:00:00.123456789Z"
    data = f'{{"id":"two","type":"x","queue":"DEFAULT","state":"new","created":"{created}","theirs":[1]}}'.encode()
    await backend.publisher.publish(Publication(backend.names.record("two"), data))
    stored = await backend.tasks.read("two")
    assert stored is not None

    claim = stored.document.updated(claimed(stored.record, Run("a" * 26, 1, "b" * 8), datetime.now(UTC)))
    await write_fitting(backend.tasks, claim, stored.sequence, ttl=lambda _record: None)

    found = await backend.tasks.read("two")
    assert found is not None
    assert found.record.state is State.ACTIVE
    assert f'"created":"{created}"'.encode() in found.data
    assert b'"theirs":[1]' in found.data
