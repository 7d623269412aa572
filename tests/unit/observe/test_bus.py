"""Events reach every listener, and no listener disturbs the others or the emitter."""

import threading

from jetq.model.events import ConnectionLost, ConnectionRestored, Event, ListenerFailed
from jetq.observe.bus import Bus

LOST = ConnectionLost(reason="gone")
BACK = ConnectionRestored(server="nats://a", generation=2)


class Broken:
    """A listener that fails, cannot be hashed and has no name of its own."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    def __call__(self, event: Event) -> None:
        raise RuntimeError(f"no {type(event).__name__}")


def test_every_listener_hears_every_event_in_order() -> None:
    bus = Bus()
    heard: list[tuple[int, Event]] = []
    bus.listen(lambda event: heard.append((1, event)))
    bus.listen(lambda event: heard.append((2, event)))

    bus.emit(LOST)
    bus.emit(BACK)

    assert heard == [(1, LOST), (2, LOST), (1, BACK), (2, BACK)]


def test_a_listener_for_one_kind_hears_no_other() -> None:
    bus = Bus()
    heard: list[ConnectionLost] = []
    bus.listen_to(ConnectionLost, heard.append)

    bus.emit(BACK)
    bus.emit(LOST)

    assert heard == [LOST]


def test_a_listener_that_is_forgotten_hears_nothing_more() -> None:
    bus = Bus()
    heard: list[Event] = []
    forget = bus.listen(heard.append)
    forget_kind = bus.listen_to(ConnectionLost, heard.append)
    assert bus.has_listeners

    forget()
    forget_kind()
    forget()
    bus.emit(LOST)

    assert heard == []
    assert not bus.has_listeners


def test_of_two_equal_listeners_one_is_forgotten_at_a_time() -> None:
    bus = Bus()
    heard: list[Event] = []

    def listener(event: Event) -> None:
        heard.append(event)

    forget = bus.listen(listener)
    bus.listen(listener)
    forget()
    bus.emit(LOST)

    assert heard == [LOST]


def test_a_listener_may_forget_itself_while_it_listens() -> None:
    bus = Bus()
    heard: list[Event] = []

    def once(_event: Event) -> None:
        forget()

    forget = bus.listen(once)
    bus.listen(heard.append)
    bus.emit(LOST)
    bus.emit(BACK)

    assert heard == [LOST, BACK]


def test_a_listener_that_fails_is_told_once_for_each_kind_of_event() -> None:
    bus = Bus()
    heard: list[Event] = []
    bus.listen(Broken())
    bus.listen(heard.append)

    for event in (LOST, LOST, BACK, LOST):
        bus.emit(event)

    assert [event for event in heard if not isinstance(event, ListenerFailed)] == [LOST, LOST, BACK, LOST]
    assert [event for event in heard if isinstance(event, ListenerFailed)] == [
        ListenerFailed(listener="Broken", error="RuntimeError: no ConnectionLost"),
        ListenerFailed(listener="Broken", error="RuntimeError: no ConnectionRestored"),
    ]


def test_a_listener_for_one_kind_fails_under_its_own_name() -> None:
    bus = Bus()
    told: list[ListenerFailed] = []

    def breaks(_event: ConnectionLost) -> None:
        raise ValueError

    bus.listen_to(ConnectionLost, breaks)
    bus.listen_to(ListenerFailed, told.append)
    bus.emit(LOST)

    assert [failed.listener for failed in told] == [breaks.__qualname__]


def test_an_error_without_words_disturbs_nobody() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise ValueError

    def breaks(_event: Event) -> None:
        raise SilentError

    bus = Bus()
    told: list[ListenerFailed] = []
    bus.listen(breaks)
    bus.listen_to(ListenerFailed, told.append)
    bus.emit(LOST)

    assert len(told) == 1


def test_listeners_come_and_go_in_many_threads() -> None:
    bus = Bus()
    start = threading.Barrier(8)

    def come_and_go() -> None:
        start.wait()
        for _ in range(500):
            bus.listen(lambda _: None)()

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not bus.has_listeners


def test_who_listens_to_one_kind_later_is_heard_of_from_then_on() -> None:
    bus = Bus()
    heard: list[Event] = []
    bus.emit(LOST)
    forget = bus.listen_to(ConnectionLost, heard.append)
    bus.emit(LOST)
    forget()
    bus.emit(LOST)

    assert heard == [LOST]
