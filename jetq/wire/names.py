"""
names: every stream, subject, consumer, bucket and header, spelled once.

NS is the namespace: ``JETQ`` by default, ``CHORIA_AJ`` to share everything with asyncjobs programs.
"""

from typing import NamedTuple

WORKERS = "WORKERS"
"""The durable consumer of every queue."""

# Headers of JetStream
EXPECT_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
TTL = "Nats-TTL"
SCHEDULE = "Nats-Schedule"
SCHEDULE_TARGET = "Nats-Schedule-Target"
SCHEDULER = "Nats-Scheduler"
STATUS_PENDING = "Nats-Pending-Messages"
KV_OPERATION = "KV-Operation"
KV_DELETED = "DEL"

# Consumer metadata
METADATA_MAX_RUN_TIME = "jetq.max_run_time"
METADATA_MAX_TRIES = "jetq.max_tries"
METADATA_LEASE = "jetq.lease"

# Metadata of the task store
METADATA_COMPLETE_KEPT = "jetq.complete_kept"
METADATA_ENDED_KEPT = "jetq.ended_kept"

CATCHALL = "catchall"
"""What a remote handler of all task types is called by."""

GO_NAMESPACE = "CHORIA_AJ"
"""asyncjobs' own namespace; a lease there is the whole run time, since Go reads it from ``ack_wait``."""


class Names(NamedTuple):
    """The names within one namespace."""

    namespace: str

    # Streams and buckets

    @property
    def tasks(self) -> str:
        """The stream of records."""
        return f"{self.namespace}_TASKS"

    @property
    def schedules(self) -> str:
        """The stream of schedules and due items."""
        return f"{self.namespace}_SCHED"

    @property
    def keys(self) -> str:
        """The stream of unique keys."""
        return f"{self.namespace}_KEYS"

    @property
    def links(self) -> str:
        """The stream of markers, edges and flows."""
        return f"{self.namespace}_LINKS"

    @property
    def events(self) -> str:
        """The stream of events, where they are kept."""
        return f"{self.namespace}_EVENTS"

    @property
    def configuration(self) -> str:
        """The bucket of stored schedules."""
        return f"{self.namespace}_CONFIGURATION"

    @property
    def elections(self) -> str:
        """The bucket of elections."""
        return f"{self.namespace}_ELECTIONS"

    @property
    def workers(self) -> str:
        """The bucket of workers' presence."""
        return f"{self.namespace}_WORKERS"

    def queue(self, queue: str) -> str:
        """Name the stream of a queue."""
        return f"{self.namespace}_Q_{queue}"

    def pauses(self, queue: str) -> str:
        """Where the server tells that a queue was paused or goes on."""
        return f"$JS.EVENT.ADVISORY.CONSUMER.PAUSE.{self.queue(queue)}.{WORKERS}"

    @property
    def queue_prefix(self) -> str:
        """What the stream names of queues begin with."""
        return f"{self.namespace}_Q_"

    @staticmethod
    def bucket_stream(bucket: str) -> str:
        """Name the stream behind a bucket."""
        return f"KV_{bucket}"

    @staticmethod
    def bucket_subject(bucket: str) -> str:
        """All keys of a bucket."""
        return f"$KV.{bucket}.>"

    # Subjects

    @property
    def records_subject(self) -> str:
        """All records."""
        return f"{self.namespace}.T.*"

    def record(self, task_id: str) -> str:
        """Where a record lives."""
        return f"{self.namespace}.T.{task_id}"

    def items_subject(self, queue: str) -> str:
        """All items of a queue."""
        return f"{self.namespace}.Q.{queue}.>"

    @property
    def all_items_subject(self) -> str:
        """All items of all queues."""
        return f"{self.namespace}.Q.>"

    def item(self, queue: str, task_id: str) -> str:
        """Where a task's item lives."""
        return f"{self.namespace}.Q.{queue}.{task_id}"

    @property
    def schedules_subjects(self) -> list[str]:
        """All schedules and all due items."""
        return [f"{self.namespace}.S.>", f"{self.namespace}.D.>"]

    def schedule(self, queue: str, task_id: str) -> str:
        """Where a waiting task's schedule lives."""
        return f"{self.namespace}.S.{queue}.{task_id}"

    def schedules_subject(self, queue: str) -> str:
        """All schedules of a queue."""
        return f"{self.namespace}.S.{queue}.>"

    def due(self, queue: str, task_id: str) -> str:
        """Where a schedule publishes the item when it is due."""
        return f"{self.namespace}.D.{queue}.{task_id}"

    def due_subject(self, queue: str) -> str:
        """All due items of a queue."""
        return f"{self.namespace}.D.{queue}.>"

    def waiting_subjects(self, task_id: str) -> list[str]:
        """A task's schedule and its due item, whatever its queue."""
        return [f"{self.namespace}.S.*.{task_id}", f"{self.namespace}.D.*.{task_id}"]

    @property
    def keys_subject(self) -> str:
        """All unique keys."""
        return f"{self.namespace}.K.*"

    def key(self, digest: str) -> str:
        """Where a unique key lives; see `jetq.wire.keys`."""
        return f"{self.namespace}.K.{digest}"

    @property
    def links_subjects(self) -> list[str]:
        """All markers, edges and flows."""
        return [f"{self.namespace}.{letter}.>" for letter in ("B", "L", "F")]

    def task_event(self, task_id: str) -> str:
        """Where the state changes of a task are told."""
        return f"{self.namespace}.E.task_state.{task_id}"

    def task_progress(self, task_id: str) -> str:
        """Where the progress of a task is told."""
        return f"{self.namespace}.E.task_progress.{task_id}"

    def leader_event(self, component: str) -> str:
        """Where the elections of a component are told."""
        return f"{self.namespace}.E.leader_election.{component}"

    @property
    def kept_events_subjects(self) -> list[str]:
        """What the stream of events keeps: all state changes and all elections."""
        return [self.task_event("*"), self.leader_event("*")]

    def control(self, worker: str) -> str:
        """Where a worker takes orders and questions."""
        return f"{self.namespace}.C.{worker}"

    @property
    def control_all(self) -> str:
        """Where all workers take orders and questions."""
        return f"{self.namespace}.C.all"

    def remote(self, endpoint: str) -> str:
        """Where a remote handler takes requests: a task type, a route of asyncjobs, or ``catchall``."""
        return f"{self.namespace}.H.T.{endpoint}"

    @property
    def remote_subject(self) -> str:
        """All remote handlers."""
        return self.remote("*")

    def remote_cancel(self, task_id: str) -> str:
        """Where a worker tells servers of jetq that it awaits no answer any more."""
        return f"{self.namespace}.H.C.{task_id}"

    def election(self, component: str) -> str:
        """Where the leader of a component stands, as a subject of its bucket."""
        return f"$KV.{self.elections}.{component}"

    @property
    def janitor_state(self) -> str:
        """Where the janitor leaves when its last complete pass began, as a subject of its bucket."""
        return f"$KV.{self.configuration}.janitor_state"

    def stored_schedule(self, name: str) -> str:
        """Where a schedule is stored, as a subject of its bucket."""
        return f"$KV.{self.configuration}.scheduled_tasks.{name}"

    @property
    def stored_schedules_subject(self) -> str:
        """All stored schedules."""
        return self.stored_schedule("*")

    def schedule_state(self, name: str) -> str:
        """Where it stands how far the occurrences of a schedule are made, as a subject of its bucket."""
        return f"$KV.{self.configuration}.schedule_state.{name}"

    @property
    def schedule_states_subject(self) -> str:
        """The states of all schedules."""
        return self.schedule_state("*")

    @property
    def scheduler_state(self) -> str:
        """Where the scheduler leaves when its leadership began, as a subject of its bucket."""
        return f"$KV.{self.configuration}.scheduler_state"

    def marker(self, task_id: str) -> str:
        """Where it stands that a task is, or was a moment ago, blocked."""
        return f"{self.namespace}.B.{task_id}"

    @property
    def markers_subject(self) -> str:
        """All markers."""
        return self.marker("*")

    def edge(self, parent: str, child: str) -> str:
        """Where it stands that a task waits for another one, whose record is full of those that wait."""
        return f"{self.namespace}.L.{parent}.{child}"

    def flow(self, flow_id: str) -> str:
        """Where it stands what a flow is, and whether it is stored: its commit point."""
        return f"{self.namespace}.F.{flow_id}"

    def flow_member(self, flow_id: str, task_id: str) -> str:
        """Where it stands that a task was enqueued by a task of a flow."""
        return f"{self.namespace}.F.{flow_id}.{task_id}"

    def presence(self, worker: str) -> str:
        """Where a worker's presence lives, as a subject of its bucket."""
        return f"$KV.{self.workers}.{worker}"
