"""
task: what the ``@app.task`` decorator returns: a handler that can be enqueued.
"""

from collections.abc import Callable
from typing import Any, Generic, NoReturn, ParamSpec, Protocol, TypeVar, Unpack

from jetq.app.options import CallOptions, OptionValues, build_request
from jetq.client.blocking import forbid_in_loop
from jetq.client.clients import Client, Clients
from jetq.client.handle import TaskHandle
from jetq.client.request import EnqueueRequest
from jetq.errors import DuplicateTaskError, InvalidPatternError
from jetq.model.record import TaskRecord
from jetq.routing.handler import Handler
from jetq.routing.values import decode_value
from jetq.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


class Owner(Protocol):
    """The application behind a task, as far as its tasks need it."""

    @property
    def settings(self) -> Settings:
        """Defaults for what nobody says."""
        ...

    @property
    def clients(self) -> Clients:
        """Ways to the server."""
        ...


class TaskCall(Generic[R]):
    """
    A task with its arguments, checked and ready to be enqueued; made by :meth:`Task.s`.

    Attributes:
        task: The task.
        payload: The encoded arguments.
    """

    __slots__ = ("payload", "task")

    def __init__(self, task: "Task[Any, R]", payload: bytes) -> None:
        self.task = task
        self.payload = payload

    def __repr__(self) -> str:
        return f"<TaskCall {self.task.name} {self.payload.decode(errors='replace')[:80]}>"

    def request(self) -> EnqueueRequest:
        """Return what is to be enqueued."""
        return self.task.request(self.payload)

    def handle(self, task_id: str, queue: str, *, is_new: bool = False) -> TaskHandle[R]:
        """Return the handle of the enqueued task."""
        return self.task.handle(task_id, queue, is_new=is_new)


class Task(Generic[P, R]):
    """
    A handler that can be enqueued. Its parameters are the function's, without the context.

    Attributes:
        handler: What the worker runs.
        fn: The plain function, for unit tests and direct calls.
        name: The function's module and qualified name.
        pattern: The task types that it takes.
    """

    def __init__(
        self,
        handler: Handler,
        owner: Callable[[], Owner],
        *,
        options: CallOptions | None = None,
    ) -> None:
        self.handler = handler
        self.fn: Callable[..., Any] = handler.function
        self.name = handler.name
        self.pattern = handler.pattern
        self._owner = owner
        self._options = options or CallOptions()
        self.__doc__ = handler.function.__doc__

    def __repr__(self) -> str:
        return f"<Task {self.pattern} {self.name}>"

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Refuse: a call would run the function here and now, which nobody means who decorated it."""
        name = self.name.rpartition(":")[2] or self.name
        raise TypeError(f"{name} is a task: enqueue it with {name}.enqueue(...), or call the function: {name}.fn(...)")

    def using(self, **options: Unpack[OptionValues]) -> "Task[P, R]":
        """
        Return the task with options for its next enqueues.

        Args:
            **options: ``queue``, ``delay``, ``run_at``, ``deadline``, ``max_tries``, ``timeout``, ``id``, ``type``,
                ``depends_on`` and others; see :class:`CallOptions`.

        Raises:
            TypeError: An unknown option.
            InvalidSettingError, InvalidNameError: A value that cannot be used.
        """
        return Task(self.handler, self._owner, options=self._options.merged(**options))

    def s(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        """
        Return the task with its arguments, to enqueue it later or with others.

        Raises:
            InvalidPayloadError: An argument is missing, unknown or of the wrong type.
        """
        return TaskCall(self, self.handler.encode_call(args, kwargs, self.type))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """
        Enqueue the task; blocks until JetStream acknowledged it.

        Raises:
            InvalidPayloadError: An argument is missing, unknown or of the wrong type.
            EnqueueError: It was not enqueued; see the subclasses.
            ServerError: No connection, or a refusal.
            BlockingCallError: Called inside a running event loop; await :meth:`aenqueue` there.
        """
        forbid_in_loop("enqueue", "aenqueue")
        request = self.s(*args, **kwargs).request()
        return self._owner().clients.blocking(lambda client: self._send(client, request))

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Enqueue the task; see :meth:`enqueue`."""
        request = self.s(*args, **kwargs).request()
        return await self._send(await self._owner().clients.current(), request)

    async def _send(self, client: Client, request: EnqueueRequest) -> TaskHandle[R]:
        try:
            made = await client.enqueuer.enqueue(request)
        except DuplicateTaskError as error:
            error.handle = existing_task(error, self._owner().clients)
            raise
        return self.handle(made.id, made.queue, is_new=isinstance(made, TaskRecord))

    @property
    def type(self) -> str:
        """
        The task type of the next enqueue.

        Raises:
            InvalidPatternError: The task takes a pattern and no type was chosen.
        """
        if self._options.type is not None:
            return self._options.type
        if "*" in self.pattern:
            raise InvalidPatternError(
                self.pattern, "it names many task types; choose one with .using(type=...) before enqueueing"
            )
        return self.pattern

    def request(self, payload: bytes) -> EnqueueRequest:
        """Return what is to be enqueued for an encoded payload."""
        return build_request(self.type, payload, self._options, self.handler, self._owner().settings)

    def handle(self, task_id: str, queue: str, *, is_new: bool = False) -> TaskHandle[R]:
        """Return the handle of an enqueued task of this handler."""
        decode = self.handler.decode_result
        return TaskHandle(task_id, self.type, queue, clients=self._owner().clients, decode=decode, is_new=is_new)


def existing_task(error: DuplicateTaskError, clients: Clients) -> TaskHandle[Any]:
    """Return the handle of the task that was in the way; its result is the plain JSON value."""
    return TaskHandle(error.task_id, error.task_type, error.queue, clients=clients, decode=decode_value)
