"""
jetq: a task framework on NATS JetStream.

This module is the public API; everything that is not in ``__all__`` may change.
"""

from jetq.admin.bulk_report import BulkReport
from jetq.admin.schedule_keeper import ScheduleView
from jetq.admin.workers import WorkerInfo
from jetq.app.application import App
from jetq.app.call import TaskCall
from jetq.app.composition import Chain, Group, chain, chord, group
from jetq.app.dependency import Dependency
from jetq.app.events import events
from jetq.app.flow import Flow
from jetq.app.group import Tasks
from jetq.app.node import Node
from jetq.app.options import CallOptions
from jetq.app.schedules import DeclaredSchedule
from jetq.app.selection import TaskSelection
from jetq.app.task import Task
from jetq.beat.beat import Beat
from jetq.client.event_stream import EventStream
from jetq.client.flow_handle import FlowHandle
from jetq.client.handle import TaskHandle
from jetq.errors import (
    CommandFailedError,
    DuplicateTaskError,
    EnqueueError,
    FlowAbandonedError,
    FlowTimeoutError,
    HandlerFailedError,
    JetqError,
    OperationRefusedError,
    ProcessDiedError,
    QueueFullError,
    RemoteHandlerError,
    ResultGoneError,
    ResultTimeoutError,
    Retry,
    ServerError,
    Snooze,
    SoftTimeout,
    TaskCancelledError,
    TaskExpiredError,
    TaskFailedError,
    TaskTerminatedError,
    TaskUnreachableError,
    Terminate,
    UnknownFlowError,
)
from jetq.execution.context import Context, current
from jetq.execution.middleware import Middleware
from jetq.jetstream.event_reader import EventsMissed
from jetq.jetstream.queue_catalog import QueueInfo
from jetq.jetstream.server import EmbeddedServer
from jetq.model.explanation import Explanation
from jetq.model.flow_status import FlowStatus
from jetq.model.operation import OperatedTask
from jetq.model.progress import Progress
from jetq.model.record import TaskRecord
from jetq.model.retention import Retention
from jetq.model.retry import Exponential, Fixed, Linear, RetryPolicy, Steps
from jetq.model.signing import SigningSettings
from jetq.model.state import State
from jetq.model.stored_schedule import Misfire, StoredSchedule
from jetq.model.unique import Unique, UniqueMode
from jetq.observe.metrics import Metrics
from jetq.routing.payload import Payload
from jetq.settings import (
    ConnectionSettings,
    JanitorSettings,
    Queue,
    Settings,
    StoreSettings,
    WorkerSettings,
)
from jetq.wire.events import LeaderElectedEvent, TaskProgressEvent, TaskStateEvent
from jetq.worker.responder import Responder
from jetq.worker.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "App",
    "Beat",
    "BulkReport",
    "CallOptions",
    "Chain",
    "CommandFailedError",
    "ConnectionSettings",
    "Context",
    "DeclaredSchedule",
    "Dependency",
    "DuplicateTaskError",
    "EmbeddedServer",
    "EnqueueError",
    "EventStream",
    "EventsMissed",
    "Explanation",
    "Exponential",
    "Fixed",
    "Flow",
    "FlowAbandonedError",
    "FlowHandle",
    "FlowStatus",
    "FlowTimeoutError",
    "Group",
    "HandlerFailedError",
    "JanitorSettings",
    "JetqError",
    "LeaderElectedEvent",
    "Linear",
    "Metrics",
    "Middleware",
    "Misfire",
    "Node",
    "OperatedTask",
    "OperationRefusedError",
    "Payload",
    "ProcessDiedError",
    "Progress",
    "Queue",
    "QueueFullError",
    "QueueInfo",
    "RemoteHandlerError",
    "Responder",
    "ResultGoneError",
    "ResultTimeoutError",
    "Retention",
    "Retry",
    "RetryPolicy",
    "ScheduleView",
    "ServerError",
    "Settings",
    "SigningSettings",
    "Snooze",
    "SoftTimeout",
    "State",
    "Steps",
    "StoreSettings",
    "StoredSchedule",
    "Task",
    "TaskCall",
    "TaskCancelledError",
    "TaskExpiredError",
    "TaskFailedError",
    "TaskHandle",
    "TaskProgressEvent",
    "TaskRecord",
    "TaskSelection",
    "TaskStateEvent",
    "TaskTerminatedError",
    "TaskUnreachableError",
    "Tasks",
    "Terminate",
    "Unique",
    "UniqueMode",
    "UnknownFlowError",
    "Worker",
    "WorkerInfo",
    "WorkerSettings",
    "chain",
    "chord",
    "current",
    "events",
    "group",
]
