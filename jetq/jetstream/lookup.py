"""
lookup: what the server says of a stream or a consumer, or that there is none.
"""

from jetq.errors import RequestRefusedError
from jetq.jetstream.blueprint import Config
from jetq.jetstream.connection import Connection
from jetq.jetstream.faults import CONSUMER_NOT_FOUND, STREAM_NOT_FOUND
from jetq.wire.names import WORKERS


async def find_stream(connection: Connection, stream: str) -> Config | None:
    """Return everything that the server says of a stream; None if it does not exist."""
    try:
        return await connection.api(f"STREAM.INFO.{stream}")
    except RequestRefusedError as refused:
        if refused.code == STREAM_NOT_FOUND:
            return None
        raise


async def find_consumer(connection: Connection, stream: str) -> Config | None:
    """Return everything that the server says of a queue's consumer; None if it or its stream does not exist."""
    try:
        return await connection.api(f"CONSUMER.INFO.{stream}.{WORKERS}")
    except RequestRefusedError as refused:
        if refused.code in (STREAM_NOT_FOUND, CONSUMER_NOT_FOUND):
            return None
        raise
