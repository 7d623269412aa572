"""
hook_failed: a hook of an application that failed when its worker stopped, as a value for `observe.bus`.
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
