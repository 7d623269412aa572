"""
dialer: finds a server that takes us, the first time and every time after.

The first time, each server is tried once within the connect time-out, and a failure is an error: somebody waits for
it. Later it tries for ever, with short waits that no two clients share, and also on servers of the cluster that it
was told of.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import nats.errors

from jetq.errors import AuthenticationError, ConnectionFailedError, SecureConnectionError, UnusableCredentialsError
from jetq.jetstream.address import Address, ServerUrl
from jetq.jetstream.faults import failure_of
from jetq.jetstream.link import Link, LinkOwner

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0
"""Seconds; a worker's lease must not be lost over a wait."""

Failure = ConnectionFailedError | AuthenticationError | UnusableCredentialsError


class Dialer:
    """
    Makes links to the servers of an address.

    Args:
        address: Where they are.
        owner: Of the links.
        name: Of the connection, as the server's monitoring shows it.
        timeout: Seconds for the first link, and later for each server that is tried.
    """

    def __init__(self, address: Address, owner: LinkOwner, *, name: str, timeout: float) -> None:
        self._address = address
        self._owner = owner
        self._name = name
        self._timeout = timeout
        self._discovered: tuple[ServerUrl, ...] = ()

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
        """Try until a server takes us. *on_failure* hears of each failure."""
        wait = _FIRST_WAIT
        await asyncio.sleep(random.uniform(0, _FIRST_WAIT))  # noqa: S311 - spreads load, hides nothing
        while True:
            for server in _shuffled((*self._address.servers, *self._discovered)):
                failures: list[Failure] = []
                link = await self._try(server, self._timeout, failures)
                if link is not None:
                    return link
                on_failure(failures[0])
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - it spreads load, nothing more
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _try(self, server: ServerUrl, timeout: float, failures: list[Failure]) -> Link | None:
        try:
            link = await Link.dial(server, self._address, self._owner, name=self._name, timeout=timeout)
        except (OSError, UnicodeError, nats.errors.Error, UnusableCredentialsError) as error:
            failures.append(failure_of(f"{server} ({self._address.source})", error))
            return None
        self._discover(server, link.info)
        return link

    def _discover(self, server: ServerUrl, info: dict[str, Any]) -> None:
        """Remember the other servers of the cluster; they take the credentials and the certificate name of this one."""
        found: list[ServerUrl] = []
        for text in info.get("connect_urls") or ():
            host, _, port = str(text).rpartition(":")
            other = ServerUrl(server.scheme, host.strip("[]"), int(port))
            if (other.host, other.port) not in {(known.host, known.port) for known in self._address.servers}:
                found.append(replace(other, credentials=server.credentials, tls_name=server.tls_name or server.host))
        self._discovered = tuple(found)


def _shuffled(servers: tuple[ServerUrl, ...]) -> list[ServerUrl]:
    return random.sample(servers, len(servers))


def _telling(failure: Failure) -> int:
    """Rank failures: a refusal says more than a silence."""
    return isinstance(failure, (AuthenticationError, UnusableCredentialsError)) * 2 + isinstance(
        failure, SecureConnectionError
    )
