"""What users hold: apps, tasks, handles; from async code, from sync code, from forked children."""

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetq import (
    App,
    CallOptions,
    Context,
    EmbeddedServer,
    Payload,
    Queue,
    Settings,
    TaskHandle,
    Tasks,
    Worker,
    WorkerSettings,
)
from jetq.errors import (
    AppLoadError,
    BlockingCallError,
    DuplicateHandlerError,
    EnqueueManyError,
    InvalidNameError,
    InvalidPatternError,
    InvalidPayloadError,
    InvalidSettingError,
    QueueFullError,
    ResultGoneError,
    ResultTimeoutError,
    TaskNotFoundError,
    UnknownQueueError,
)


@dataclass
class Order:
    id: int
    paid: bool = False


@pytest.fixture
def app(server: EmbeddedServer, namespace: str) -> Iterator[App]:
    made = App("test", namespace=namespace, queues=[Queue("SMALL", max_entries=2)])
    made.connect_to(server.address)
    yield made
    made.close()


class BackgroundWorker:
    """A worker in a thread with a loop of its own, for tests of sync code."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with Worker(self._app, settings=WorkerSettings(concurrency=5)):
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def __exit__(self, *_exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()


def test_sync_code_enqueues_and_gets_the_result_as_its_annotation_says(app: App) -> None:
    @app.task("order:pay")
    def pay(order: Payload[Order]) -> Order:
        return Order(order.id, paid=True)

    with BackgroundWorker(app):
        handle = pay.enqueue(Order(7))

        assert handle.result(timeout=10) == Order(7, paid=True)
        assert handle.state() == "complete"
        assert handle.wait(1).is_final
        assert handle.record().tries == 1


async def test_async_code_enqueues_and_gets_the_result(app: App) -> None:
    @app.task("greet:*")
    async def greet(ctx: Context, name: str) -> str:
        return f"{ctx.task_type} {name}"

    async with app, Worker(app):
        handle = await greet.using(type="greet:morning").aenqueue("Ann")

        assert await handle.aresult(10) == "greet:morning Ann"


async def test_a_blocking_call_in_a_loop_names_its_async_twin(app: App) -> None:
    @app.task("x")
    async def x() -> None: ...

    for call, twin in (
        (x.enqueue, "aenqueue"),
        (lambda: app.enqueue("x"), "aenqueue"),
        (app.handle("a").result, "aresult"),
    ):
        with pytest.raises(BlockingCallError, match=f"await {twin}"):
            call()


def test_a_task_is_not_called_by_accident(app: App) -> None:
    @app.task("x")
    def double(number: int) -> int:
        return 2 * number

    with pytest.raises(TypeError, match=r"double\.enqueue"):
        double(2)
    assert double.fn(2) == 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({}, "to"), ({"to": "a", "subjet": "b"}, "subjet"), ({"to": ["a"]}, "to"), ({"to": object()}, "object")],
)
def test_a_wrong_argument_is_refused_by_its_name_before_anything_is_sent(
    app: App, arguments: dict[str, Any], named: str
) -> None:
    @app.task("email")
    def email(to: str) -> None: ...

    with pytest.raises(InvalidPayloadError, match=named):
        email.enqueue(**arguments)


def test_a_pattern_needs_the_type(app: App) -> None:
    @app.task("email:*")
    def email(ctx: Context) -> None: ...

    with pytest.raises(InvalidPatternError, match="using"):
        email.enqueue()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"queue": "no spaces"}, InvalidNameError),
        ({"id": "a.b"}, InvalidNameError),
        ({"type": ""}, InvalidNameError),
        ({"delay": -1}, InvalidSettingError),
        ({"run_at": datetime(2030, 1, 1)}, InvalidSettingError),  # noqa: DTZ001 - naive on purpose
        ({"max_tries": -1}, InvalidSettingError),
        ({"timeout": 0}, InvalidSettingError),
        ({"delay": 1, "run_at": datetime.now(UTC)}, InvalidSettingError),
        ({"dealy": 1}, TypeError),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(app: App, options: dict[str, Any], error: type[Exception]) -> None:
    @app.task("x")
    def x() -> None: ...

    with pytest.raises(error):
        x.using(**options).enqueue()


def test_options_of_the_call_win_over_the_handlers_and_the_applications(app: App) -> None:
    @app.task("x", queue="HANDLER", max_tries=3, deadline=60)
    def x() -> None: ...

    plain = x.enqueue().record()
    chosen = x.using(queue="CALL", max_tries=7, deadline=timedelta(hours=1), timeout=5, id="mine").enqueue().record()
    other = app.enqueue("unknown:type").record()

    assert (plain.queue, plain.max_tries) == ("HANDLER", 3)
    assert plain.deadline is not None
    assert plain.deadline - plain.created <= timedelta(seconds=60)
    assert (chosen.queue, chosen.max_tries, chosen.id) == ("CALL", 7, "mine")
    assert chosen.deadline is not None
    assert chosen.deadline > plain.deadline
    assert chosen.options is not None
    assert chosen.options.timeout == 5
    assert (other.queue, other.max_tries, other.payload) == ("DEFAULT", 10, None)


def test_the_type_of_an_untyped_enqueue_takes_its_handlers_options(app: App) -> None:
    @app.task("x:*", queue="HANDLER")
    def x(ctx: Context) -> None: ...

    assert app.enqueue("x:y", {"a": 1}).queue == "HANDLER"


def test_many_tasks_come_back_in_order(app: App) -> None:
    @app.task("square")
    def square(number: int) -> int:
        return number * number

    with BackgroundWorker(app):
        handles = app.enqueue_many([square.s(3), ("square", {"number": 4}), square.s(number=5)])

        assert [handle.result(10) for handle in handles] == [9, 16, 25]


def test_errors_of_many_are_raised_together_or_returned(app: App) -> None:
    @app.task("small", queue="SMALL")
    def small() -> None: ...

    with pytest.raises(EnqueueManyError, match="1 of 3 tasks") as caught:
        app.enqueue_many([small.s() for _ in range(3)])
    outcomes = app.enqueue_many([small.s()], errors="return")

    assert [type(outcome) for outcome in caught.value.outcomes] == [TaskHandle, TaskHandle, QueueFullError]
    assert [type(outcome) for outcome in outcomes] == [QueueFullError]


def test_a_pair_among_many_goes_where_its_handler_says(app: App) -> None:
    @app.task("small", queue="SMALL", max_tries=3)
    def small() -> None: ...

    pair, single = app.enqueue_many([("small", None)])[0], app.enqueue("small")

    assert pair.queue == single.queue == "SMALL"
    assert pair.record().max_tries == 3


def test_nothing_of_many_is_sent_when_the_deadline_of_one_has_passed(app: App) -> None:
    @app.task("x")
    def x() -> None: ...

    late = x.using(deadline=datetime(2020, 1, 1, tzinfo=UTC)).s()
    with pytest.raises(InvalidSettingError, match="expected deadline to be in the future"):
        app.enqueue_many([x.using(id="first").s(), late])

    with pytest.raises(TaskNotFoundError):
        app.handle("first").record()


def test_nothing_of_many_is_sent_when_one_is_unsound(app: App) -> None:
    with pytest.raises(InvalidPayloadError):
        app.enqueue_many([("x", {"fine": 1}), ("x", {"bad": object()})])
    with pytest.raises(InvalidSettingError, match="pair"):
        app.enqueue_many([{"type": "x"}])  # type: ignore[list-item]


def test_a_stream_of_tasks_is_enqueued_as_it_comes(app: App) -> None:
    def endless() -> Iterator[tuple[str, Any]]:
        number = 0
        while True:
            yield "x", {"number": number}
            number += 1

    stream = app.enqueue_iter(endless())
    ids = {next(stream).id for _ in range(1500)}  # type: ignore[union-attr]
    stream.close()  # type: ignore[attr-defined]

    assert len(ids) == 1500


async def test_a_stream_of_tasks_is_enqueued_from_async_code(app: App) -> None:
    entries = (("x", {"number": number}) for number in range(1200))

    async with app:
        outcomes = [outcome async for outcome in app.aenqueue_iter(entries)]

    assert len(outcomes) == 1200


async def test_waiting_ends_in_time_and_leaves_the_task_alone(app: App) -> None:
    async with app:
        handle = await app.aenqueue("nobody:does")

        with pytest.raises(ResultTimeoutError, match="state: new") as caught:
            await handle.aresult(timeout=0.1)
        assert isinstance(caught.value, TimeoutError)
        assert await handle.astate() == "new"


async def test_a_task_that_never_was_says_so(app: App) -> None:
    async with app:
        with pytest.raises(ResultGoneError):
            await app.handle("never").aresult(1)
        with pytest.raises(TaskNotFoundError):
            await app.handle("never").astate()


async def test_a_waiter_is_woken_by_the_end_and_does_not_poll_for_it(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetq.client.waiting.RESULT_POLL", 3600.0)

    @app.task("soon")
    async def soon() -> int:
        await asyncio.sleep(0.3)
        return 1

    async with app, Worker(app):
        assert await (await soon.aenqueue()).aresult(10) == 1


async def test_a_lost_event_delays_a_waiter_and_no_more(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jetq.client.waiting.RESULT_POLL", 0.2)
    monkeypatch.setattr("jetq.jetstream.event_feed.EventFeed.__call__", lambda _self, _event: None)

    @app.task("silent")
    async def silent() -> int:
        await asyncio.sleep(0.3)
        return 1

    async with app, Worker(app):
        assert await (await silent.aenqueue()).aresult(10) == 1


def _enqueue_in_child(app: App, answers: "multiprocessing.queues.Queue[str]") -> None:
    answers.put(app.enqueue("from:child", {"pid": os.getpid()}).id)


def test_a_forked_child_has_a_connection_of_its_own(app: App) -> None:
    mine = app.enqueue("from:parent")
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.queues.Queue[str] = context.Queue()
    child = context.Process(target=_enqueue_in_child, args=(app, answers))
    child.start()
    theirs = answers.get(timeout=20)
    child.join()

    assert app.handle(theirs).record().type == "from:child"
    assert mine.record().type == "from:parent"


def test_threads_share_the_bridge(app: App) -> None:
    found: list[str] = []

    def produce() -> None:
        found.extend(app.enqueue("x").id for _ in range(20))

    threads = [threading.Thread(target=produce) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 100


def test_a_group_needs_an_application(app: App) -> None:
    tasks = Tasks()

    @tasks.task("grouped", queue="GROUP")
    def grouped(number: int) -> int:
        return number

    with pytest.raises(AppLoadError, match="include"):
        grouped.enqueue(1)
    app.include(tasks)
    assert grouped.enqueue(1).queue == "GROUP"
    with pytest.raises(AppLoadError, match="another App"):
        App("second", include=[tasks])


def test_included_modules_bring_their_groups(app: App, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "included_by_the_application.py").write_text(
        "from jetq import Tasks\ntasks = Tasks()\n@tasks.task('shop:ship')\ndef ship(id: int) -> None: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.include("included_by_the_application")

    app.load()

    assert app.router.match("shop:ship") is not None


def test_a_module_that_does_not_exist_is_named(app: App) -> None:
    app.include("no.such.module")

    with pytest.raises(AppLoadError, match=r"no\.such"):
        app.load()


def test_two_handlers_of_one_pattern_are_refused(app: App) -> None:
    @app.task("same")
    def first() -> None: ...

    with pytest.raises(DuplicateHandlerError, match="first"):

        @app.task("same")
        def second() -> None: ...


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidNameError, match="namespace"):
        App("a", namespace="a b")
    with pytest.raises(InvalidSettingError, match="choose one"):
        App("a", servers="x", context="y")


def test_settings_can_be_given_as_a_whole() -> None:
    app = App("a", settings=Settings(namespace="WHOLE", max_tries=3), servers=["nats://a", "nats://b"])

    assert app.settings.namespace == "WHOLE"
    assert app.settings.connection.servers == "nats://a,nats://b"
    assert CallOptions(queue="Q").merged(delay=3) == CallOptions(queue="Q", delay=3)


async def test_a_queue_that_is_missing_and_may_not_be_made_is_named(server: EmbeddedServer, namespace: str) -> None:
    app = App("strict", namespace=namespace, queues=[Queue("STRICT", create=False)])
    app.connect_to(server.address)

    async with app:
        await app.aenqueue("x")
        with pytest.raises(UnknownQueueError, match="jetq queues add STRICT"):
            await app.aenqueue("x", queue="STRICT")
    with pytest.raises(UnknownQueueError, match="jetq queues add STRICT"):
        await Worker(app).run()
