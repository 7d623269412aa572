"""
retry_rules: which retry policy and which limit count for a task.

The task's own policy, given when it was enqueued, wins over the handler's, and that over the application's. A name is
looked up here, where the task runs: in the application's own policies, then in asyncjobs'. What the task asks for and
this application does not know must not fail the task: the handler's policy takes its place, and that is said beside the
error.
"""

from typing import Final

from msgspec import Raw

from jetq.errors import InvalidSettingError
from jetq.model.record import TaskRecord
from jetq.model.retry import RetryPolicy, as_policy
from jetq.model.verdict import Rules, max_tries
from jetq.routing.handler import Handler
from jetq.settings import Settings
from jetq.wire.retry_option import decode_retry

_LONGEST: Final = 300
"""Characters of a complaint."""
_NOTHING: Final = (b"", b"null")
"""What says that a task has no policy of its own."""


class RetryRules:
    """
    The rules of an application.

    Args:
        settings: Its policies.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._policies: dict[Handler, RetryPolicy] = {}

    def of(self, record: TaskRecord, handler: Handler, *, queue_max_tries: int) -> Rules:
        """
        Return what counts for a run of *handler*.

        Args:
            record: The task.
            handler: What runs it.
            queue_max_tries: The limit of the queue that it was delivered from.

        Raises:
            InvalidSettingError: The handler names a policy that nobody knows.
        """
        policy = self._policies.get(handler)
        if policy is None:
            policy = self._policies[handler] = self.policy_of(handler)
        limit, options = max_tries(record.max_tries, queue_max_tries), record.options
        if options is None or bytes(options.retry) in _NOTHING:
            return Rules(retry=policy, max_tries=limit)
        return self._own(options.retry, policy, limit)

    def policy_of(self, handler: Handler) -> RetryPolicy:
        """
        Return the policy of a handler.

        Raises:
            InvalidSettingError: It names one that nobody knows.
        """
        settings, wanted = self._settings, handler.options.retry
        return as_policy(settings.retry if wanted is None else wanted, settings.retry_policies)

    def _own(self, option: Raw, instead: RetryPolicy, limit: int) -> Rules:
        try:
            return Rules(retry=as_policy(decode_retry(option), self._settings.retry_policies), max_tries=limit)
        except (ValueError, InvalidSettingError) as error:
            complaint = f" (and the task's own retry policy cannot be used: {str(error)[:_LONGEST]})"
            return Rules(retry=instead, max_tries=limit, complaint=complaint)
