"""Waiting for what must come."""

import asyncio
from collections.abc import Awaitable, Callable

STEP = 0.02


async def eventually(condition: Callable[[], Awaitable[object]], *, within: float = 20.0) -> None:
    """Return as soon as the condition holds; the server tells of it in no other way."""
    async with asyncio.timeout(within):
        while not await condition():  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(STEP)
