"""
dialer: finds a server that takes us, the first time and every time after.

The first time, each server is tried once within the connect time-out, and a failure is an error: somebody waits for
it. Later it tries for ever, with short waits that no two clients share, and also on servers of the cluster that it
was told of; first on others than the last one.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

import nats.errors

from jetq.errors import AuthenticationError, ConnectionFailedError, SecureConnectionError, UnusableCredentialsError
from jetq.jetstream.address import Address, ServerUrl
from jetq.jetstream.faults import failure_of
from jetq.jetstream.link import PING_INTERVAL, Link, LinkOwner

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 1.0
"""Seconds; a worker is to take a task within two after its server is back, however long that was away."""
_LASTING: Final = 5.0
"""Seconds after which a link has proved itself."""

Failure = ConnectionFailedError | AuthenticationError | UnusableCredentialsError


class Dialer:
    """
    Makes links to the servers of an address.

    Args:
        address: Where they are.
        owner: Of the links.
        name: Of the connection, as the server's monitoring shows it.
        timeout: Seconds for the first link, and later for each server that is tried.
        ping_interval: Seconds between two pings on a link.
    """

    def __init__(
        self, address: Address, owner: LinkOwner, *, name: str, timeout: float, ping_interval: float = PING_INTERVAL
    ) -> None:
        self._address = address
        self._owner = owner
        self._name = name
        self._timeout = timeout
        self._ping_interval = ping_interval
        self._wait = _FIRST_WAIT
        self._last: Link | None = None
        self._last_began = 0.0

    async def first(self) -> Link:
        """
        Try every server once, in any order.

        Raises:
            ConnectionFailedError, AuthenticationError, UnusableCredentialsError: All failed; the most telling failure.
        """
        servers = _shuffled(self._address.servers)
        until = asyncio.get_running_loop().time() + self._timeout
        failures: list[Failure] = []
        for index, server in enumerate(servers):
            share = (until - asyncio.get_running_loop().time()) / (len(servers) - index)
            link = await self._try(server, share, failures)
            if link is not None:
                return link
        raise max(failures, key=_telling)

    async def again(self, on_failure: Callable[[Failure], None]) -> Link:
        """
        Try until a server takes us, and wait a little longer after each round.

        A link that ended soon after it began counts as a failure: what ended it may end the next one.

        Args:
            on_failure: Hears of each failure.
        """
        if self._now() - self._last_began > _LASTING:
            self._wait = _FIRST_WAIT
        while True:
            await asyncio.sleep(self._wait * random.uniform(0.5, 1))  # noqa: S311 - spreads load, hides nothing
            self._wait = min(self._wait * 2, _LONGEST_WAIT)
            for server in self._candidates():
                failures: list[Failure] = []
                link = await self._try(server, self._timeout, failures)
                if link is not None:
                    return link
                on_failure(failures[0])

    async def _try(self, server: ServerUrl, timeout: float, failures: list[Failure]) -> Link | None:
        try:
            link = await Link.dial(
                server,
                self._address,
                self._owner,
                name=self._name,
                timeout=timeout,
                ping_interval=self._ping_interval,
            )
        except (OSError, UnicodeError, nats.errors.Error, UnusableCredentialsError) as error:
            failures.append(failure_of(f"{server} ({self._address.source})", error))
            return None
        self._last, self._last_began = link, self._now()
        return link

    def _candidates(self) -> list[ServerUrl]:
        """
        Return all servers in any order, that of the last link at the end.

        It may take connections and be of no use: cut off from the others of its cluster, or frozen.
        """
        last = None if self._last is None else _place(self._last.server)
        found = _shuffled((*self._address.servers, *self._discovered()))
        return sorted(found, key=lambda server: _place(server) == last)

    def _discovered(self) -> list[ServerUrl]:
        """Return the other servers of the cluster; they take the credentials and the certificate name of the last."""
        if self._last is None:
            return []
        known = set(map(_place, self._address.servers))
        last = self._last.server
        found: list[ServerUrl] = []
        for text in self._last.info.get("connect_urls") or ():
            host, _, port = str(text).rpartition(":")
            other = ServerUrl(last.scheme, host.strip("[]"), int(port), last.credentials, last.tls_name or last.host)
            if _place(other) not in known:
                found.append(other)
        return found

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _shuffled(servers: tuple[ServerUrl, ...]) -> list[ServerUrl]:
    return random.sample(servers, len(servers))


def _place(server: ServerUrl) -> tuple[str, int]:
    return server.host, server.port


def _telling(failure: Failure) -> int:
    """Rank failures: a refusal says more than a silence."""
    return isinstance(failure, (AuthenticationError, UnusableCredentialsError)) * 2 + isinstance(
        failure, SecureConnectionError
    )
