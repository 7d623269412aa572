"""
time_bounds: what a filter says of times ago, counted by the server's clock.
"""

from jetq.admin.task_filter import TaskFilter
from jetq.jetstream.connection import Connection
from jetq.jetstream.record_scan import measure_store
from jetq.wire.names import Names


async def bounded(chosen: TaskFilter, connection: Connection, names: Names) -> TaskFilter:
    """
    Return the filter with fixed times.

    Raises:
        ServerError: No answer, or a refusal.
    """
    if not chosen.is_relative:
        return chosen
    await measure_store(connection, names)  # the connection may be new, and this answer tells the server's time
    return chosen.at(connection.clock.now())
