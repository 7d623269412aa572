"""
settings: every default of jetq, and the JETQ_* environment.

Values are frozen and checked once, when they are made; after that they are trusted. Durations may be given as seconds
or as timedelta and are seconds inside. NATS contexts and NATS_* variables are read by `jetstream.address`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from jetq.errors import InvalidSettingError
from jetq.model.name import check_name
from jetq.model.quantity import Duration, seconds, size, whole
from jetq.model.retention import RetentionLike, as_retention
from jetq.model.retry import Exponential, RetryLike, as_policy
from jetq.model.signing import SigningSettings

Storage = Literal["file", "memory"]

DEFAULT_QUEUE = "DEFAULT"
DEFAULT_NAMESPACE = "JETQ"
DEFAULT_SERVER = "nats://127.0.0.1:4222"
SERVER_FLOOR = (2, 14, 2)
"""The oldest nats-server that jetq works with: schedules beside discard-new, reliable sourcing, cron."""
STATE_FOLDER = ".jetq"
"""Folder of the working directory where an embedded server leaves its address for other terminals."""

DEFAULT_MAX_TRIES = 10
"""Tries of a task, as in asyncjobs."""
DEFAULT_LEASE = 15.0
"""Seconds until the task of a dead worker may run elsewhere."""
MIN_LEASE = 1.0
"""Seconds; the server's shortest TTL, which the presence of a worker needs."""
SHORTEST_KEPT = 1.0
"""Seconds; the server's shortest TTL."""
DEFAULT_COMPLETE_KEPT = 24 * 3600.0
"""Seconds that the record of a complete task is kept, with its result."""
DEFAULT_ENDED_KEPT = 7 * 24 * 3600.0
"""Seconds that the record of any other ended task is kept."""
DEFAULT_CONCURRENCY = 50
"""Slots of a worker."""
LEAST_CHILD_MEMORY = 64 * 1024 * 1024
"""Bytes; a worker that has done nothing yet holds about as much."""
RUN_GRACE = 10.0
"""Seconds beyond its time limit for which a run's lease is kept, so that it can end in order."""
COMMAND_GRACE = 3.0
"""Seconds that the program of a command handler gets between TERM and KILL."""
MAX_COMMAND_OUTPUT = 256 * 1024
"""Bytes that the program of a command handler may write as its result: a quarter of the server's largest message."""
RESULT_POLL = 2.0
"""Seconds between two readings of a record that somebody waits for; events come sooner, but may be lost."""
LEAST_EVENT_BYTES = 64 * 1024
"""Bytes that a stream of events may not be smaller than."""
EVENT_BUFFER = 10_000
"""Events that wait for their reader; what comes beyond that is counted and told as missed."""
RECORD_MARGIN = 64 * 1024
"""Bytes kept free below the server's max_payload when a task is enqueued, for what its runs will add."""


@dataclass(frozen=True)
class Queue:
    """
    A queue, and how it is made if it does not exist.

    Attributes:
        name: Letters, digits, ``_``, ``:`` and ``-``.
        max_age: Seconds after which an item that nobody took is dropped; None keeps it for ever.
        max_entries: Items that the queue holds; None is unlimited.
        discard_old: A full queue drops its oldest item in place of refusing the new one.
        max_tries: Tries of each task in this queue at most; 0 is unlimited.
        max_run_time: Seconds that a handler may run.
        max_concurrent: Tasks that may run at one time, over all workers.
        lease: Seconds until the task of a dead worker may run elsewhere; None is ``max_run_time``, which is what Go
            programs that share the queue expect.
        replicas: Copies in a cluster, 1 to 5; None is the application's.
        storage: ``file`` or ``memory``; None is the application's.
        create: Make the queue if it does not exist; False refuses to work without it.
    """

    name: str
    max_age: Duration | None = None
    max_entries: int | None = None
    discard_old: bool = False
    max_tries: int = 0
    max_run_time: Duration = 3600.0
    max_concurrent: int = 1000
    lease: Duration | None = DEFAULT_LEASE
    replicas: int | None = None
    storage: Storage | None = None
    create: bool = True

    def __post_init__(self) -> None:
        """Check and normalise."""
        put = object.__setattr__
        check_name("queue", self.name)
        if self.max_age is not None:
            put(self, "max_age", seconds("Queue.max_age", self.max_age, least=1.0))
        if self.max_entries is not None:
            whole("Queue.max_entries", self.max_entries, least=1)
        whole("Queue.max_tries", self.max_tries, least=0)
        put(self, "max_run_time", seconds("Queue.max_run_time", self.max_run_time, least=MIN_LEASE))
        whole("Queue.max_concurrent", self.max_concurrent, least=1)
        if self.lease is not None:
            put(self, "lease", seconds("Queue.lease", self.lease, least=MIN_LEASE))
        if self.replicas is not None:
            whole("Queue.replicas", self.replicas, least=1, most=5)
        _check_storage("Queue.storage", self.storage)

    @property
    def run_time(self) -> float:
        """``max_run_time`` in seconds."""
        return seconds("Queue.max_run_time", self.max_run_time)

    @property
    def lease_time(self) -> float:
        """The lease in seconds."""
        return self.run_time if self.lease is None else seconds("Queue.lease", self.lease)


def _check_storage(setting: str, storage: object) -> None:
    if storage not in (None, "file", "memory"):
        raise InvalidSettingError(setting, storage, "'file' or 'memory'")


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """
    Where the server is, and how long to wait for it.

    Attributes:
        servers: Comma-separated NATS URLs; None looks further.
        context: Name of a NATS context, or the path of its file; None looks further.
        connect_timeout: Seconds until a first connection must stand.
        request_timeout: Seconds until a request must be answered.
    """

    servers: str | None = None
    context: str | None = None
    connect_timeout: Duration = 5.0
    request_timeout: Duration = 5.0

    def __post_init__(self) -> None:
        """Check and normalise."""
        if self.servers is not None and self.context is not None:
            raise InvalidSettingError("context", self.context, "absent when servers are given: choose one")
        for name in ("connect_timeout", "request_timeout"):
            object.__setattr__(self, name, seconds(name, getattr(self, name), least=0.1))


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """
    The task store, and the defaults of queues.

    Attributes:
        storage: ``file`` or ``memory``.
        replicas: Copies in a cluster, 1 to 5.
        complete_kept: Seconds that the record of a complete task is kept, with its result; None is what
            ``jetq tasks configure`` says of the store, else a day.
        ended_kept: Seconds that the record of any other ended task is kept; None is the store's, else seven days.
        events_kept: Seconds that what happens to tasks is kept in a stream of its own, for ``jetq tasks history``, also
            after their records are gone; None makes no such stream, and leaves one that is there as it is.
        events_max_bytes: Of that stream, beyond which the oldest events go; None is unlimited.
    """

    storage: Storage = "file"
    replicas: int = 1
    complete_kept: Duration | None = None
    ended_kept: Duration | None = None
    events_kept: Duration | None = None
    events_max_bytes: int | None = None

    def __post_init__(self) -> None:
        """Check and normalise."""
        put = object.__setattr__
        _check_storage("storage", self.storage)
        whole("replicas", self.replicas, least=1, most=5)
        if self.complete_kept is not None:
            put(self, "complete_kept", seconds("complete_kept", self.complete_kept, least=SHORTEST_KEPT))
        if self.ended_kept is not None:
            put(self, "ended_kept", seconds("ended_kept", self.ended_kept, least=SHORTEST_KEPT))
        if self.events_kept is not None:
            put(self, "events_kept", seconds("events_kept", self.events_kept, least=SHORTEST_KEPT))
        if self.events_max_bytes is not None:
            whole("events_max_bytes", self.events_max_bytes, least=LEAST_EVENT_BYTES)
            if self.events_kept is None:
                raise InvalidSettingError("events_max_bytes", self.events_max_bytes, "absent without events_kept")


@dataclass(frozen=True, kw_only=True)
class JanitorSettings:
    """
    How what crashes leave behind is mended.

    Attributes:
        every: Seconds between two passes over all tasks.
        patience: Seconds that anybody may take between a task's record and its item; younger records are left alone.
        blocked_every: Seconds between two looks at the tasks that wait for others.
    """

    every: Duration = 600.0
    patience: Duration = 30.0
    blocked_every: Duration = 30.0

    def __post_init__(self) -> None:
        """Check and normalise."""
        object.__setattr__(self, "every", seconds("every", self.every, least=0.01))
        object.__setattr__(self, "patience", seconds("patience", self.patience))
        object.__setattr__(self, "blocked_every", seconds("blocked_every", self.blocked_every, least=0.01))


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """
    How a worker runs.

    Attributes:
        concurrency: Slots: tasks that run at one time in this worker.
        threads: Threads for sync handlers; None is as many as slots.
        shutdown_timeout: Seconds that running tasks may take to end once the worker stops; inside Kubernetes' 30 s.
        pool_processes: Processes for handlers with ``pool="process"``, each of which runs one task at a time; None is
            as many as there are processors. They start when they are needed.
        max_tasks_per_process: Tasks after which such a process is replaced; None is unlimited.
        max_memory_per_process: Bytes of memory beyond which it is replaced, after the task; None is unlimited.
        hook_timeout: Seconds that each stop hook of the application, and the end of its lifespan, may take.
        strict: The order in which queues are named is their priority: a free slot goes to the first that has work.
        exclude: Names of queues that are not served.
        burst: Stop when all queues are empty, or paused.
        janitor: Be ready to be the one process that mends what crashes leave behind; in burst mode never.
    """

    concurrency: int = DEFAULT_CONCURRENCY
    threads: int | None = None
    shutdown_timeout: Duration = 25.0
    pool_processes: int | None = None
    max_tasks_per_process: int | None = None
    max_memory_per_process: int | None = None
    hook_timeout: Duration = 5.0
    strict: bool = False
    exclude: Sequence[str] = ()
    burst: bool = False
    janitor: bool = True

    def __post_init__(self) -> None:
        """Check and normalise."""
        whole("concurrency", self.concurrency, least=1)
        for name in ("threads", "pool_processes", "max_tasks_per_process"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=1)
        if self.max_memory_per_process is not None:
            whole("max_memory_per_process", self.max_memory_per_process, least=LEAST_CHILD_MEMORY)
        for name in ("shutdown_timeout", "hook_timeout"):
            object.__setattr__(self, name, seconds(name, getattr(self, name)))
        excluded = (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude)
        object.__setattr__(self, "exclude", tuple(check_name("queue", name) for name in excluded))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """
        Return the defaults, with what the environment says.

        ``JETQ_POOL_PROCESSES``, ``JETQ_MAX_TASKS_PER_PROCESS``, ``JETQ_MAX_MEMORY_PER_PROCESS`` (``512M``) and
        ``JETQ_HOOK_TIMEOUT`` in seconds; an empty variable is as good as none.

        Raises:
            InvalidSettingError: One is no number that can be used.
        """
        found = os.environ if environ is None else environ
        given: dict[str, Any] = {}
        for name in ("pool_processes", "max_tasks_per_process", "max_memory_per_process", "hook_timeout"):
            variable = f"JETQ_{name.upper()}"
            if text := found.get(variable, "").strip():
                given[name] = (size if name == "max_memory_per_process" else _number)(variable, text)
        return cls(**given)


def _number(variable: str, text: str) -> int | float:
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        raise InvalidSettingError(variable, text, "a number") from None


@dataclass(frozen=True, kw_only=True)
class SupervisorSettings:
    """
    How a supervisor keeps its child processes; each is a worker with all its slots.

    Attributes:
        processes: Children that work at one time.
        child_timeout: Seconds without a sign of life of its lease thread after which a child is killed and replaced.
        start_timeout: Seconds in which a child must come to take tasks.
        max_tasks_per_child: Tasks after which a child is replaced, or up to a tenth fewer; None is unlimited.
        max_memory_per_child: Bytes of memory beyond which a child is replaced; None is unlimited.
        backoff_first: Seconds before a child that crashed twice in a row starts again; doubled by each further crash.
        backoff_most: Seconds at most.
        healthy_after: Seconds that a child must take tasks until its crash is a first one again.
    """

    processes: int = 1
    child_timeout: Duration = 30.0
    start_timeout: Duration = 120.0
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    backoff_first: Duration = 1.0
    backoff_most: Duration = 30.0
    healthy_after: Duration = 60.0

    def __post_init__(self) -> None:
        """Check and normalise."""
        whole("processes", self.processes, least=1)
        for name in ("child_timeout", "start_timeout"):
            object.__setattr__(self, name, seconds(name, getattr(self, name), least=1.0))
        for name in ("backoff_first", "backoff_most", "healthy_after"):
            object.__setattr__(self, name, seconds(name, getattr(self, name)))
        if self.max_tasks_per_child is not None:
            whole("max_tasks_per_child", self.max_tasks_per_child, least=1)
        if self.max_memory_per_child is not None:
            whole("max_memory_per_child", self.max_memory_per_child, least=LEAST_CHILD_MEMORY)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    All settings of an application.

    Attributes:
        namespace: Prefix of every stream and subject; ``CHORIA_AJ`` shares everything with asyncjobs programs.
        default_queue: Where tasks go whose handler and caller name no queue.
        max_tries: Tries of a task whose handler and caller say nothing; 0 is unlimited.
        enqueue_timeout: Seconds until an enqueue must be acknowledged.
        retry: The waits between tries where handler and caller say nothing: a policy, a name, seconds, or a function.
        retry_policies: Policies by the names that handlers and callers may use, beside those of asyncjobs.
        retention: How long tasks are kept after their end where neither they nor their handlers say: seconds, or by
            end; None leaves it to *store*.
        connection: Where the server is, see `ConnectionSettings`.
        store: How tasks are kept, see `StoreSettings`.
        signing: Who signs tasks and whose signatures count, see `SigningSettings`.
        janitor: How what crashes leave behind is mended, see `JanitorSettings`.
    """

    namespace: str = DEFAULT_NAMESPACE
    default_queue: str = DEFAULT_QUEUE
    max_tries: int = DEFAULT_MAX_TRIES
    enqueue_timeout: Duration = 5.0
    retry: RetryLike = field(default_factory=Exponential)
    retry_policies: Mapping[str, RetryLike] = field(default_factory=dict[str, RetryLike])
    retention: RetentionLike | None = None
    connection: ConnectionSettings = field(default_factory=ConnectionSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    signing: SigningSettings = field(default_factory=SigningSettings)
    janitor: JanitorSettings = field(default_factory=JanitorSettings)

    def __post_init__(self) -> None:
        """Check and normalise."""
        if ":" in check_name("namespace", self.namespace):
            raise InvalidSettingError("namespace", self.namespace, "without ':'")
        check_name("queue", self.default_queue)
        whole("max_tries", self.max_tries, least=0)
        object.__setattr__(self, "retention", as_retention(self.retention))
        object.__setattr__(self, "enqueue_timeout", seconds("enqueue_timeout", self.enqueue_timeout, least=0.01))
        named = {check_name("retry policy", name): as_policy(value) for name, value in self.retry_policies.items()}
        vars(self).update(retry_policies=named, retry=as_policy(self.retry, named))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """
        Return the defaults, with ``JETQ_NAMESPACE`` and what :meth:`SigningSettings.from_env` finds.

        Raises:
            ConfigurationError: One cannot be used.
        """
        found = os.environ if environ is None else environ
        namespace = found.get("JETQ_NAMESPACE") or DEFAULT_NAMESPACE
        if ":" in check_name("JETQ_NAMESPACE", namespace):
            raise InvalidSettingError("JETQ_NAMESPACE", namespace, "without ':'")
        return cls(namespace=namespace, signing=SigningSettings.from_env(found))

    def with_connection(self, *, servers: str | None, context: str | None) -> Self:
        """Return the settings with another server, where one is given."""
        if servers is None and context is None:
            return self
        return replace(self, connection=replace(self.connection, servers=servers, context=context))


def http_token(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the token of the HTTP API that ``JETQ_HTTP_TOKEN`` holds, if any."""
    return (os.environ if environ is None else environ).get("JETQ_HTTP_TOKEN") or None


def server_program(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the nats-server program that ``JETQ_NATS_SERVER`` names, if any."""
    return (os.environ if environ is None else environ).get("JETQ_NATS_SERVER") or None
