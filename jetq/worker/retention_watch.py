"""
retention_watch: takes notice when the retention of the store is changed while the worker runs.
"""

import asyncio
import contextlib

from jetq.errors import ServerError
from jetq.jetstream.retention import REREAD_EVERY, StoreRetention


async def watch_retention(retention: StoreRetention) -> None:
    """Read the store's retention every half minute, for ever; without an answer the last one goes on counting."""
    while True:
        await asyncio.sleep(REREAD_EVERY)
        with contextlib.suppress(ServerError):
            await retention.reread()
