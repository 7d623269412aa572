import pytest

from jetq.admin.operator import Operator
from jetq.errors import InvalidNameError, UnknownQueueError
from jetq.jetstream.backend import Backend
from jetq.jetstream.publisher import Publication
from jetq.jetstream.queue_changes import QueueChanges
from jetq.settings import Queue


@pytest.fixture
async def operator(backend: Backend) -> Operator:
    return Operator(backend)


async def test_illegal_names_reach_no_subject(operator: Operator) -> None:
    with pytest.raises(InvalidNameError):
        await operator.purge_queue(">")
    with pytest.raises(InvalidNameError):
        await operator.delete_queue("A B")
    with pytest.raises(InvalidNameError):
        await operator.configure_queue("", QueueChanges())


async def test_queues_are_added_changed_emptied_and_removed(backend: Backend, operator: Operator) -> None:
    assert await operator.add_queue(Queue("BULK", max_concurrent=3))
    assert not await operator.add_queue(Queue("BULK", max_concurrent=5))
    await backend.publisher.publish(Publication(backend.names.item("BULK", "t1"), b"{}"))

    info = await operator.configure_queue("BULK", QueueChanges(max_concurrent=7))

    assert info.settings is not None
    assert (info.settings.max_concurrent, info.items) == (7, 1)
    assert await operator.purge_queue("BULK") == 1
    await operator.delete_queue("BULK")
    with pytest.raises(UnknownQueueError):
        await operator.purge_queue("BULK")
