"""events: what is read is known by its kind."""

from typing import assert_type

import jetq
from jetq import (
    App,
    EventsMissed,
    EventStream,
    LeaderElectedEvent,
    TaskProgressEvent,
    TaskStateEvent,
)

app = App("shop")


async def use() -> None:
    async for event in app.events(task_type="email:*", states=["complete", "expired"], progress=True):
        assert_type(event, TaskStateEvent | TaskProgressEvent | LeaderElectedEvent | EventsMissed)
        match event:
            case TaskStateEvent():
                assert_type(event.display_state, str)
            case TaskProgressEvent():
                assert_type(event.current, float)
            case LeaderElectedEvent():
                assert_type(event.component, str)
            case EventsMissed():
                assert_type(event.missed, int | None)

    async with app.handle("A1").events() as changes:
        assert_type(changes, EventStream[TaskStateEvent | TaskProgressEvent])
        async for change in changes:
            assert_type(change.task_id, str)

    async for event in jetq.events(servers="nats://127.0.0.1:4222", namespace="SHOP", queue="EMAIL"):
        assert_type(event, TaskStateEvent | TaskProgressEvent | LeaderElectedEvent | EventsMissed)

    assert_type(await app.ahistory("A1"), list[TaskStateEvent])
    app.events(kueue="EMAIL")  # E: call-arg reportCallIssue
    app.events(states=5)  # E: arg-type reportArgumentType


def use_without_a_loop() -> None:
    for event in app.handle("A1").events():
        assert_type(event, TaskStateEvent | TaskProgressEvent)
    assert_type(app.history("A1"), list[TaskStateEvent])
