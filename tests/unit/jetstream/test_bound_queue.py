from typing import Any

import pytest

from jetq.errors import TopologyMismatchError
from jetq.jetstream.blueprint import queue_consumer, queue_stream
from jetq.jetstream.bound_queue import BoundQueue, differences, read_queue, read_store
from jetq.settings import Queue, StoreSettings
from jetq.wire.names import GO_NAMESPACE, Names

NAMES = Names("NS")
CONSUMER = {"ack_policy": "explicit", "ack_wait": 120_000_000_000, "max_deliver": 7, "max_ack_pending": 5}


@pytest.mark.parametrize("names", [NAMES, Names(GO_NAMESPACE)])
@pytest.mark.parametrize(
    "queue",
    [
        Queue("EMAIL"),
        Queue("EMAIL", lease=None),
        Queue("EMAIL", max_age=60, max_entries=5, discard_old=True, max_tries=4, max_run_time=0.5 + 1, lease=1.25),
    ],
)
def test_a_queue_is_read_as_it_was_written(names: Names, queue: Queue) -> None:
    bound = read_queue(names, "EMAIL", queue_stream(names, queue, StoreSettings()).config, queue_consumer(names, queue))

    shared = names.namespace == GO_NAMESPACE or queue.lease is None
    assert bound.lease == (queue.run_time if shared else queue.lease)
    assert bound.max_run_time == queue.run_time
    assert (bound.max_tries, bound.max_concurrent) == (queue.max_tries, queue.max_concurrent)
    assert (bound.max_entries, bound.max_age) == (queue.max_entries or 0, queue.max_age or 0)
    assert (bound.discard_old, bound.made_by_go, bound.sourced) == (queue.discard_old, shared, True)


def test_the_lease_is_what_the_server_goes_by() -> None:
    metadata = {"jetq.max_run_time": "60", "jetq.max_tries": "3", "jetq.lease": "15"}

    bound = read_queue(NAMES, "EMAIL", {}, CONSUMER | {"metadata": metadata})

    assert (bound.lease, bound.max_run_time, bound.max_tries) == (120, 60, 3)


@pytest.mark.parametrize("metadata", [{"jetq.max_run_time": "60"}, {"jetq.max_run_time": "x", "jetq.max_tries": "1"}])
def test_half_of_the_metadata_is_refused(metadata: dict[str, str]) -> None:
    with pytest.raises(TopologyMismatchError, match=r"NS_Q_EMAIL\.WORKERS: its metadata jetq\."):
        read_queue(NAMES, "EMAIL", {}, CONSUMER | {"metadata": metadata})


def test_the_store_is_read_from_its_stream() -> None:
    store = read_store({"storage": "memory", "num_replicas": 3, "max_age": 5_000_000_000, "allow_msg_ttl": True})

    assert (store.storage, store.replicas, store.max_age, store.record_ttl) == ("memory", 3, 5.0, True)
    assert read_store({"storage": "file", "num_replicas": 1}).record_ttl is False


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({}, ""),
        ({"max_concurrent": 5}, ""),
        ({"max_concurrent": 6}, "max_concurrent is 5 and 6 was declared"),
        ({"lease": 30}, "lease is 10.0 and 30.0 was declared"),
        ({"lease": None}, ""),
        (
            {"max_age": 60, "max_entries": 9},
            "max_age is 0.0 and 60.0 was declared, max_entries is 0 and 9 was declared",
        ),
        ({"discard_old": True}, "discard_old is False and True was declared"),
    ],
)
def test_only_what_was_declared_and_is_not_in_force_is_told(declared: dict[str, Any], told: str) -> None:
    bound = BoundQueue(name="EMAIL", lease=10.0, max_run_time=60.0, max_concurrent=5)

    assert differences(Queue("EMAIL", **declared), bound) == told


def test_a_lease_cannot_be_in_force_in_a_queue_of_go() -> None:
    bound = BoundQueue(name="EMAIL", lease=60.0, max_run_time=60.0, max_concurrent=5, made_by_go=True)

    assert differences(Queue("EMAIL", lease=30), bound) == ""
