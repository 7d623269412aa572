"""
session: one command's connection, opened from the options and closed at its end.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from jetq.admin.inspector import Inspector
from jetq.admin.operator import Operator
from jetq.admin.schedule_keeper import ScheduleKeeper
from jetq.admin.store_keeper import StoreKeeper
from jetq.admin.task_operations import TaskOperations
from jetq.admin.workers import WorkerDirectory
from jetq.jetstream.address import Address, find_address
from jetq.jetstream.backend import Backend
from jetq.jetstream.connection import Connection
from jetq.model.quantity import seconds
from jetq.observe.bus import Bus
from jetq.settings import Settings
from jetq.wire.signature import Signer

_T = TypeVar("_T")


class Session:
    """
    A connection and what commands do with it.

    Attributes:
        address: Where it leads, and who said so.
        names: Of the namespace.
        backend: Writes records and items.
        inspector, operator, keeper: What looks, what changes queues, and what changes the task store.
        workers: What finds workers and asks them.
    """

    def __init__(self, backend: Backend, address: Address) -> None:
        self.backend = backend
        self.connection = backend.connection
        self.address = address
        self.names = backend.names
        self.inspector = Inspector(self.connection, self.names)
        self.operator = Operator(backend)
        self.keeper = StoreKeeper(backend)
        self.workers = WorkerDirectory(self.connection, self.names)

    @cached_property
    def schedules(self) -> ScheduleKeeper:
        """
        What looks at schedules and changes them, with the signing key if there is one.

        Raises:
            UnusableCredentialsError: The signing key is none or cannot be read.
        """
        return ScheduleKeeper(self.backend, signer=Signer.of(self.backend.settings.signing))

    @cached_property
    def operations(self) -> TaskOperations:
        """
        What operates on single tasks, with the signing key if there is one.

        Raises:
            UnusableCredentialsError: The signing key is none or cannot be read.
        """
        return TaskOperations(self.backend, signer=Signer.of(self.backend.settings.signing))


def settings_for(servers: str | None, context: str | None, namespace: str | None) -> Settings:
    """
    Return the settings that the options ask for.

    Raises:
        InvalidSettingError, InvalidNameError: One cannot be used.
    """
    settings = Settings.from_env().with_connection(servers=servers, context=context)
    return settings if namespace is None else replace(settings, namespace=namespace)


@asynccontextmanager
async def open_session(settings: Settings) -> AsyncGenerator[Session, None]:
    """
    Connect, and close at the end.

    Raises:
        ServerError: No connection.
        ConfigurationError: The context or a URL cannot be used.
    """
    address = find_address(settings.connection)
    connection = await Connection.open(
        address,
        name="jetq cli",
        connect_timeout=seconds("connect_timeout", settings.connection.connect_timeout),
        request_timeout=seconds("request_timeout", settings.connection.request_timeout),
        bus=Bus(),
    )
    async with connection:
        backend = await Backend.over(connection, settings, bus=Bus())
        try:
            yield Session(backend, address)
        finally:
            await backend.close()


def in_session(settings: Settings, work: Callable[[Session], Awaitable[_T]]) -> _T:
    """Connect, do *work* and return what it returns."""

    async def run() -> _T:
        async with open_session(settings) as session:
            return await work(session)

    return asyncio.run(run())
