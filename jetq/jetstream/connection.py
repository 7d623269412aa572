"""
connection: the supervised way to the server.

A connection outlives its links (`link`): when one ends, for whatever reason, another is dialled, without limit
(`renewal`), and takes over the subscriptions. Each gets the next *generation*. What was under way when a link ended is
not sent again by the connection: requests fail as lost, and whoever sends anything that must arrive asks for an answer
and sends again, as the publisher does.

A link that looks alive may be dead (a frozen server, a stuck reader), so a request that the server must answer goes
out every few seconds; two without an answer end the link.

Callbacks are called in the order of the messages and from within the reading itself. Whatever they raise is told on
the bus and goes no further.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self

from jetq.errors import (
    ConnectionClosedError,
    ConnectionFailedError,
    MessageTooLargeError,
    ServerTimeoutError,
)
from jetq.jetstream import pulse
from jetq.jetstream.address import Address
from jetq.jetstream.api_call import call_api
from jetq.jetstream.dialer import Dialer
from jetq.jetstream.floor import check_api_level, check_version
from jetq.jetstream.framing import OnMessage
from jetq.jetstream.link import PING_INTERVAL, Link
from jetq.jetstream.message import Incoming, encode_headers
from jetq.jetstream.outbox import Outbox
from jetq.jetstream.renewal import Renewal
from jetq.jetstream.replies import Replies
from jetq.jetstream.server_clock import ServerClock
from jetq.jetstream.subscriptions import Subscription, Subscriptions
from jetq.model.events import AccessDenied, ClockSkewed, ConnectionLost, ConnectionRestored
from jetq.observe.bus import Bus
from jetq.wire.ids import new_id

__all__ = ["Connection", "Incoming", "Subscription", "encode_headers"]

HEALTH_INTERVAL: Final = 15.0
"""Seconds between two requests that prove the connection."""
_DENIED: Final = re.compile(r'for (publish|subscription) to "([^"]*)"')


class Connection:
    """
    A connection that is renewed for as long as it is open. Make one with :meth:`open`; use it in that loop.

    Attributes:
        generation: 1 after the first connect, 1 more after each further one.
        connected_at: Time of the loop when the current or last link began.
        max_payload: Bytes that the server takes in a message, headers included.
        server: The URL that is or was connected, without secrets.
        server_version: Of that server.
        api_level: Of its JetStream; 0 if we may not ask.
        api_prefix: First tokens of the JetStream API.
        clock: The server's time.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str,
        connect_timeout: float,
        request_timeout: float,
        ping_interval: float,
        bus: Bus,
    ) -> None:
        self.generation = 0
        self.connected_at = 0.0
        self.max_payload = 1024 * 1024
        self.server = str(address.servers[0])
        self.server_version = ""
        self.api_level = 0
        self.api_prefix = address.api_prefix
        self._address = address
        self._dialer = Dialer(address, self, name=name, timeout=connect_timeout, ping_interval=ping_interval)
        self._request_timeout = request_timeout
        self._purpose = name.rpartition(" ")[2]
        self._bus = bus
        self.clock = ServerClock(lambda ahead: bus.emit(ClockSkewed(ahead=ahead.total_seconds())))
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox()
        self._up = asyncio.Event()
        self._closed = False
        self._subscriptions = Subscriptions(self._outbox, bus)
        self._replies = Replies(self.new_inbox())
        self._subscriptions.add(self._replies.subject, self._replies.on_message)
        self._listeners: list[Callable[[int], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching: asyncio.Task[None] | None = None
        self._renewal = Renewal(self._dialer, self._spawn, self._on_renewed, self._tell_lost)

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        name: str,
        connect_timeout: float = 5.0,
        request_timeout: float = 5.0,
        ping_interval: float = PING_INTERVAL,
        bus: Bus | None = None,
    ) -> Self:
        """
        Connect to one of the servers, and see that jetq can work with it.

        Args:
            address: Where.
            name: Of the connection, as the server's monitoring shows it; its last word is what the connection is for.
            connect_timeout: Seconds for all of this, and later for each dialling.
            request_timeout: Seconds until a request must be answered that names no other time.
            ping_interval: Seconds between two pings; a dead link is noticed within four of them.
            bus: Hears of losses and renewals.

        Raises:
            ConnectionFailedError: Nobody answers.
            SecureConnectionError: TLS does not come about.
            AuthenticationError: The server does not accept us.
            UnusableCredentialsError: A secret or certificate cannot be read.
            JetStreamDisabledError: No JetStream there.
            ServerTooOldError: The server is older than `settings.SERVER_FLOOR`.
        """
        connection = cls(
            address,
            name=name,
            connect_timeout=connect_timeout,
            request_timeout=request_timeout,
            ping_interval=ping_interval,
            bus=bus or Bus(),
        )
        try:
            async with asyncio.timeout(connect_timeout):
                await connection._begin()
        except TimeoutError:
            silent = "no answer from its JetStream" if connection.is_connected else "no answer"
            await connection.close()
            raise ConnectionFailedError(str(address), f"{silent} within {connect_timeout:g} s") from None
        except BaseException:
            await connection.close()
            raise
        connection._watching = connection._spawn(connection._watch())
        return connection

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Send what was handed over before, and close. Requests under way fail. Idempotent."""
        self._closed = True
        self._renewal.stop()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        self._outbox.flush()
        link = self._outbox.link
        self._outbox.lead_to(None)
        self._up.set()
        self._replies.lose(ConnectionClosedError)
        self._subscriptions.close()
        if link is not None:
            await link.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_connected(self) -> bool:
        """Whether a link stands, as far as is known."""
        return self._outbox.link is not None

    def new_inbox(self) -> str:
        """Return a subject for answers that nobody else uses."""
        return f"{self._address.inbox_prefix}.{new_id()}"

    # Sending

    def send(
        self, subject: str, data: bytes = b"", *, reply: str = "", headers: Mapping[str, str] | bytes | None = None
    ) -> bool:
        """
        Send a message, behind all that were sent before. Never blocks; whether it arrives is not told.

        Args:
            subject: Where to; made by `wire.names`, so it is not checked.
            data: The payload.
            reply: Where answers are expected.
            headers: As a mapping, or as :func:`encode_headers` made them.

        Returns:
            False if there is no connection now, or too much is unsent; the message is dropped.

        Raises:
            MessageTooLargeError: The server would close the connection.
            ValueError: A header holds a line break.
        """
        size = len(data)
        if headers:
            block = headers if isinstance(headers, bytes) else encode_headers(headers)
            length = len(block)
            size += length
            command = b"HPUB %b %d %d\r\n%b%b\r\n" % (f"{subject} {reply}".encode(), length, size, block, data)
        else:
            command = b"PUB %b %d\r\n%b\r\n" % (f"{subject} {reply}".encode(), size, data)
        if size > self.max_payload:
            raise MessageTooLargeError(subject, size, self.max_payload)
        return self._outbox.put(command) or self._resume()

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: Mapping[str, str] | bytes | None = None,
        timeout: float | None = None,
    ) -> Incoming:
        """
        Send a request and return its answer. While there is no connection it waits for one, within the time-out.

        Raises:
            ServerTimeoutError: No answer in time, or the connection was lost; the request may have taken effect.
            ConnectionClosedError: The connection is closed, or was closed before the answer came.
            NoResponderError: Nobody listens there.
            PermissionDeniedError: We may not publish there.
            MessageTooLargeError: The server would not take it.
        """
        limit = self._request_timeout if timeout is None else timeout
        if self._outbox.link is None:
            limit = await self._wait_for_link(subject, limit)
        reply, answer = self._replies.expect(subject, limit)
        try:
            if not self.send(subject, data, reply=reply, headers=headers):
                raise ServerTimeoutError(subject, limit)
            return await answer
        finally:
            self._replies.forget(reply)

    async def _wait_for_link(self, subject: str, limit: float) -> float:
        """Wait for a link and return the seconds that are left."""
        self._resume()
        until = self._loop.time() + limit
        try:
            async with asyncio.timeout_at(until):
                await self._up.wait()
        except TimeoutError:
            raise ServerTimeoutError(subject, limit) from None
        if self._closed:
            raise ConnectionClosedError(subject)
        return max(until - self._loop.time(), 0.0)

    async def api(self, action: str, body: object = None, *, timeout: float | None = None) -> dict[str, Any]:
        """
        Call the JetStream API.

        Args:
            action: The subject behind the prefix, for example ``STREAM.INFO.ORDERS``.
            body: Becomes JSON; None is an empty request.
            timeout: Seconds.

        Raises:
            SequenceConflictError, LimitReachedError, RequestRefusedError: By the code of the answer.
            NoLeaderError: The cluster had no leader for all that time; a kind of ServerTimeoutError.
            ServerTimeoutError, NoResponderError, PermissionDeniedError: As :meth:`request`.
        """
        limit = self._request_timeout if timeout is None else timeout
        return await call_api(self, action, body, limit)

    # Receiving

    async def subscribe(self, subject: str, callback: Callable[[Incoming], None], *, queue: str = "") -> Subscription:
        """
        Hand the messages of a subject to a callback, also over all renewals.

        Whatever is sent on this connection afterwards is sent with the subscription in place.

        Args:
            subject: May hold wildcards.
            callback: Called in the loop; must not block.
            queue: Of those that name the same queue, one gets each message.
        """
        return self._subscriptions.add(subject, callback, queue)

    def on_connected(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call back with the generation after each further connect; the returned function ends that."""
        self._listeners.append(callback)

        def forget() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return forget

    @property
    def on_message(self) -> OnMessage:
        """What hands a message of a link to its subscription."""
        return self._subscriptions.deliver

    def on_denied(self, text: str) -> None:
        """Tell of a subject that the server does not permit, and fail the requests that wait for it."""
        denied = _DENIED.search(text)
        if denied is None:
            return
        action, subject = denied.groups()
        self._bus.emit(AccessDenied(subject=subject, action=action))
        if action == "publish":
            self._replies.deny(subject)
        elif subject == self._replies.subject.lower():
            self._replies.deny_answers()
        else:
            self._subscriptions.deny(subject)

    def rebuild(self, reason: str) -> None:
        """End the link, though it looks well, and make a new one."""
        if (link := self._outbox.link) is not None:
            link.end(reason)

    # Links

    def on_end(self, link: Link, reason: str) -> None:
        """Begin to renew, if it is the current link that ended."""
        if link is not self._outbox.link:
            return
        self._outbox.lead_to(None)
        self._up.clear()
        self._replies.lose()
        if self._watching is not None and self._watching.cancelling():  # by the loop, which ends: see `renewal`
            link.abort()
            self._renewal.put_off()
            return
        self._spawn(link.close())
        self._tell_lost(reason)
        self._renewal.begin()

    def _resume(self) -> bool:
        """Go on, if the loop cancelled all tasks; return that nothing was sent."""
        if self._renewal.resume():
            self._tell_lost("the tasks of the event loop were cancelled")
            self._watching = self._spawn(self._watch())
        return False

    def _tell_lost(self, reason: str) -> None:
        self._bus.emit(ConnectionLost(reason=reason, connection=self._purpose))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _adopt(self, link: Link) -> None:
        info = link.info
        self.generation += 1
        self.connected_at = self._loop.time()
        self.max_payload = int(info.get("max_payload", self.max_payload))
        self.server = str(link.server)
        self.server_version = str(info.get("version", ""))
        self._outbox.lead_to(link)
        self._subscriptions.renew()
        self._up.set()
        if link.is_over:  # between the end of its dialling and now
            self.on_end(link, "the connection was closed")

    async def _begin(self) -> None:
        link = await self._dialer.first()
        self._adopt(link)
        check_version(str(self._address), link.info)
        self.api_level = await pulse.first_answer(self, str(self._address))
        check_api_level(str(self._address), self.api_level)

    def _on_renewed(self, link: Link) -> None:
        self._adopt(link)
        if link.is_over:
            return
        self._bus.emit(ConnectionRestored(server=self.server, generation=self.generation, connection=self._purpose))
        for listener in tuple(self._listeners):
            self._subscriptions.call(listener, self.generation)

    async def _watch(self) -> None:
        """End a link that does not answer."""
        while True:
            await asyncio.sleep(HEALTH_INTERVAL)
            link = self._outbox.link
            if link is not None and not await pulse.answers(self):
                link.end(f"no answer to {pulse.TRIES} health checks")
