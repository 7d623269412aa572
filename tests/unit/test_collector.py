"""Values that are made for every task are none of the garbage collector's business."""

import pytest
from msgspec import Struct
from msgspec.structs import StructConfig

from jetq.client.request import EnqueueRequest
from jetq.jetstream.publisher import Publication
from jetq.jetstream.puller import Delivery
from jetq.jetstream.task_store import Stored
from jetq.model.events import TaskStateChanged
from jetq.model.outcome import Succeeded
from jetq.model.record import Result, Run, TaskRecord
from jetq.model.verdict import Rules, Verdict
from jetq.observe.scope import TaskScope
from jetq.wire.codec import Document, Item
from jetq.wire.events import TaskStateEvent
from jetq.worker.claims import Claim
from jetq.worker.lease_table import LeaseEntry


@pytest.mark.parametrize(
    "kind",
    [
        *(TaskRecord, Run, Result, Document, Item, Stored, Publication, EnqueueRequest, TaskStateChanged),
        *(TaskStateEvent, Delivery, Claim, LeaseEntry, TaskScope, Succeeded, Rules, Verdict),
    ],
)
def test_values_of_the_hot_path_are_not_tracked(kind: type[Struct]) -> None:
    config: StructConfig = kind.__struct_config__
    assert config.gc is False
