"""
surroundings: what fails around the handlers of a worker, in hooks and processes, as values for `observe.bus`.
"""

from msgspec import Struct


class HookFailed(Struct, frozen=True, kw_only=True):
    """
    A stop hook raised, or took too long; the stop went on.

    Attributes:
        hook: Which kind: ``on_worker_stop``, or ``lifespan``.
        function: Its name.
        error: What it raised, with the traceback, or that it took too long.
    """

    hook: str
    function: str
    error: str


class ProcessNotStarted(Struct, frozen=True, kw_only=True):
    """
    A process for handlers did not come up; tasks wait for the others, or for the next attempt.

    Attributes:
        worker: Its worker's id.
        error: Why.
    """

    worker: str
    error: str
