"""
task: what the ``@app.task`` decorator returns: a handler that can be enqueued.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, Unpack

from jetq.app.call import CallKind, TaskCall
from jetq.app.composition import Group
from jetq.app.options import CallOptions, OptionValues
from jetq.app.owner import Owner
from jetq.client.blocking import forbid_in_loop
from jetq.client.handle import TaskHandle
from jetq.errors import InvalidPatternError
from jetq.execution.composed import encode_calls
from jetq.model.quantity import whole
from jetq.routing.handler import Handler, missing_arguments

P = ParamSpec("P")
R = TypeVar("R")


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

    def s(self, *args: Any, **kwargs: Any) -> TaskCall[R]:
        """
        Return the task with its arguments, to enqueue it later or with others.

        Some may be missing: what comes before it in a flow may give them. So type checkers let any arguments pass here;
        what is given is checked now, and what is missing when the call is enqueued or its flow is laid out.

        Raises:
            InvalidPayloadError: An argument is unknown, given twice or of the wrong type.
        """
        payload, given = self.handler.encode_some(args, kwargs, self.type)
        return self._call("s", payload, given)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> TaskCall[R]:
        """
        Return the task with all its arguments: in a flow it takes no result of what comes before it.

        Raises:
            InvalidPayloadError: An argument is missing, unknown or of the wrong type.
        """
        payload, given = self.handler.encode_some(args, kwargs, self.type)
        if missing := self.handler.missing(given):
            raise missing_arguments(self.type, missing)
        return self._call("si", payload, given)

    def _call(self, kind: CallKind, payload: bytes, given: tuple[str, ...] = ()) -> TaskCall[R]:
        return TaskCall(
            self._owner, self.type, payload, options=self._options, kind=kind, handler=self.handler, given=given
        )

    def starmap(self, calls: Iterable[Iterable[Any]]) -> TaskCall[list[R]]:
        """
        Return ONE task that calls the handler once for each of *calls*, in order; its result is the list of theirs.

        It is one task in all respects: the time limit is for all calls together, and when one fails, all of them are
        tried again. In a flow it takes no result of what comes before it.

        Args:
            calls: For each call, its arguments by position.

        Raises:
            InvalidPayloadError: There are no calls, or an argument of one is missing, unknown or of the wrong type.
        """
        call: TaskCall[Any] = self._call("starmap", encode_calls(self.handler, calls, self.type))
        return call

    def chunks(self, calls: Iterable[Iterable[Any]], size: int) -> Group[list[R]]:
        """
        Return a group of tasks that together call the handler once for each of *calls*, *size* calls a task.

        The group's result is the list of the tasks' results, each the list of its calls' results; see :meth:`starmap`.

        Args:
            calls: For each call, its arguments by position.
            size: Calls a task; the last may have fewer.

        Raises:
            InvalidPayloadError: As of :meth:`starmap`.
            InvalidSettingError: *size* is no whole number of at least 1.
        """
        whole("size", size, least=1)
        listed = list(calls)
        return Group(self.starmap(listed[start : start + size]) for start in range(0, len(listed) or 1, size))

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
        return self.s(*args, **kwargs).enqueue()

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle[R]:
        """Enqueue the task; see :meth:`enqueue`."""
        return await self.s(*args, **kwargs).aenqueue()

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
