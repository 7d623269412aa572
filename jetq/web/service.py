"""
service: what all endpoints share: an application, and the bounds of a request.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request

from jetq.admin.schedule_keeper import ScheduleKeeper
from jetq.app.application import App
from jetq.client.clients import Client
from jetq.jetstream.backend import Backend
from jetq.web.body import MAX_BODY
from jetq.wire.signature import Signer

PATIENCE: Final = 30.0
"""Seconds, as in asyncjobs."""
_LISTS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Service:
    """
    What endpoints work with.

    Attributes:
        app: Whose server and namespace it is; its handlers' options count for tasks of their types.
        signer: Signs the tasks that are made; None leaves them unsigned.
        auth: How callers show who they are: ``none`` or ``token``.
        max_body: Bytes of a request's body at most.
        patience: Seconds that a request may take.
        makes_default: Whether callers may create the default queue, which is made by itself when it is first used.
        lists: Room for lists of tasks that are read at one time; each may read the whole store.
    """

    app: App
    signer: Signer | None = None
    auth: str = "none"
    max_body: int = MAX_BODY
    patience: float = PATIENCE
    makes_default: bool = False
    lists: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_LISTS))

    async def client(self) -> Client:
        """
        Return what enqueues and operates in the running loop, connected on first use.

        Raises:
            ServerError: No connection.
        """
        return await self.app.clients.current()

    async def backend(self) -> Backend:
        """
        Return the connection of the running loop, made on first use.

        Raises:
            ServerError: There is none to be had.
        """
        return (await self.client()).backend

    async def schedules(self) -> ScheduleKeeper:
        """
        Return what looks at schedules and changes them.

        Raises:
            ServerError: No connection.
        """
        return ScheduleKeeper(await self.backend(), self.signer)


def place_of(request: Request, path: str) -> str:
    """Return where *path* of the API is found, also where the API is mounted below another path."""
    return f"{request.scope.get('root_path', '')}{path}"
