"""
task_bodies: tasks as requests and answers hold them.
"""

from typing import Any

from msgspec import Raw, Struct, field

from jetq.model.record import Moment


class TaskRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A task that is to be enqueued.

    Attributes:
        type: Its type.
        queue: Where it goes; absent is what the type's handler says, else the default queue.
        payload: Any JSON; for a Python handler an object with its arguments by name.
        payload_base64: The bytes of it, in place of *payload*.
        deadline: After that it is not started any more.
        max_tries: How often it may run; 0 is unlimited.
        dependencies: Ids of tasks that must end before.
        load_dependencies: Its handler gets their results.
        signature: Refused: it covers the id and the time that this server chooses. The server signs with its own key.
        id: An id of the caller's own.
        delay: A duration until it becomes runnable.
        run_at: When it becomes runnable, in place of *delay*.
    """

    type: str
    queue: str | None = None
    payload: Raw = field(default_factory=Raw)
    payload_base64: str | None = None
    deadline: Moment | None = None
    max_tries: int | None = None
    dependencies: list[str] | None = None
    load_dependencies: bool = False
    signature: str = ""
    id: str | None = None
    delay: str | None = None
    run_at: Moment | None = None


class TaskResult(Struct, frozen=True):
    """
    What a handler returned.

    Attributes:
        payload: Any JSON.
        completed: When.
    """

    payload: Any
    completed: Moment


class Task(Struct, frozen=True, kw_only=True):
    """
    A task: its record as it is stored, by asyncjobs' names; what jetq adds is in the reference of the protocol.

    Attributes:
        id, type, queue: Of it.
        state: As it is stored, in asyncjobs' words.
        display_state: As people see it: ``scheduled`` and ``cancelled`` beside those.
        payload: The base64 of its bytes; null for none.
        created, tried, due, deadline: When it was enqueued, last run, becomes runnable, and is not started any more.
        tries, max_tries: How often it ran, and may run; 0 is unlimited.
        last_err: Of its last run.
        end: Why it ended, if not well.
        result: Of a complete one.
        dependencies, load_dependencies, dependency_results: The tasks that it waits for, and what they returned.
        signature: In hexadecimal.
    """

    id: str
    type: str
    state: str
    display_state: str
    created: Moment
    payload: str | None
    queue: str = ""
    tried: Moment | None = None
    due: Moment | None = None
    deadline: Moment | None = None
    tries: int = 0
    max_tries: int = 0
    last_err: str = ""
    end: str = ""
    result: TaskResult | None = None
    dependencies: list[str] = []
    load_dependencies: bool = False
    dependency_results: dict[str, TaskResult] = {}
    signature: str = ""


class TaskList(Struct, frozen=True):
    """
    Tasks.

    Attributes:
        tasks: Those that changed last first.
        count: How many these are.
        complete: Whether every task that matches is there; false if the limit, or 32 MiB, ended the list.
    """

    tasks: list[Task]
    count: int
    complete: bool


class RetryRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """
    Tasks that are to be started again.

    Attributes:
        ids: Of 1 to 100 tasks.
    """

    ids: list[str]


class Retried(Struct, frozen=True, omit_defaults=True):
    """
    What came of one of them.

    Attributes:
        id: Of the task.
        status: ``ok``, ``not_found`` or ``failed``.
        error: Why it was not started.
    """

    id: str
    status: str
    error: str = ""


class RetryResults(Struct, frozen=True):
    """
    What came of the tasks.

    Attributes:
        results: For each id, in order.
    """

    results: list[Retried]
