"""
rights: what a user of the server must be permitted, by what its program does.

docs/reference/permissions.md is made of this, and the tests of `tests/integration/test_rights.py` run each program with
no other rights.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jetq.wire.micro import VERBS
from jetq.wire.names import Names

REPLIES = "_INBOX.>"
"""Where answers come; a NATS context may name another prefix."""


class Rights(NamedTuple):
    """
    What a user needs: the subjects that its program publishes to, and those that it subscribes to.

    With *answers* it may answer, for so long, what comes there.
    """

    publish: list[str]
    subscribe: list[str]
    answers: str = ""

    def config(self, indent: str = "") -> str:
        """Return the permissions as nats-server's configuration spells them."""
        lists = [("publish", self.publish), ("subscribe", self.subscribe)]
        lines = [f"{indent}permissions: {{"]
        for word, subjects in lists:
            lines += [f"{indent}  {word}: [", *(f'{indent}    "{subject}"' for subject in subjects), f"{indent}  ]"]
        if self.answers:
            lines.append(f'{indent}  allow_responses: {{ max: 1, expires: "{self.answers}" }}')
        return "\n".join([*lines, f"{indent}}}"])


class Role(NamedTuple):
    """A program, and what its user needs for a namespace and its queues."""

    title: str
    what: str
    rights: Callable[[str, Sequence[str]], Rights]


def api(verb: str, streams: Iterable[str], rest: str = "") -> list[str]:
    return [f"$JS.API.{verb}.{stream}{rest}" for stream in streams]


def bound(names: Names, queues: Sequence[str]) -> list[str]:
    """What every program asks when it begins."""
    of_queues = [names.queue(queue) for queue in queues]
    buckets = [names.bucket_stream(bucket) for bucket in (names.configuration, names.elections, names.workers)]
    streams = [names.tasks, names.schedules, names.keys, names.links, *buckets, *of_queues]
    return ["$JS.API.INFO", *api("STREAM.INFO", streams), *api("CONSUMER.INFO", of_queues, ".WORKERS")]


def reading(stream: str) -> list[str]:
    """What reads a stream through needs: consumers of its own, which it removes again."""
    return [f"$JS.API.CONSUMER.{verb}.{stream}.*" for verb in ("CREATE", "MSG.NEXT", "DELETE")]


def enqueueing(names: Names, queues: Sequence[str]) -> list[str]:
    """What writes records and brings them to their queues needs, and reads what others have written meanwhile."""
    places = [subject for queue in queues for subject in (names.item(queue, "*"), names.schedule(queue, "*"))]
    read = [names.tasks, names.schedules, *(names.queue(queue) for queue in queues)]
    return [names.record("*"), *places, names.task_event("*"), *api("STREAM.MSG.GET", read)]


def scheduler(namespace: str, queues: Sequence[str]) -> Rights:
    names = Names(namespace)
    configuration, elections = (names.bucket_stream(each) for each in (names.configuration, names.elections))
    election = names.election("task_scheduler")
    publish = [
        *bound(names, queues),
        *api("STREAM.MSG.GET", [configuration, elections]),
        *api("STREAM.PURGE", [configuration]),
        *reading(configuration),
        names.stored_schedule("*"),
        names.schedule_state("*"),
        names.scheduler_state,
        election,
        names.leader_event("task_scheduler"),
        *enqueueing(names, queues),
    ]
    return Rights(publish, [REPLIES, election])


def web(namespace: str, queues: Sequence[str]) -> Rights:
    names = Names(namespace)
    configuration, of_queues = names.bucket_stream(names.configuration), [names.queue(queue) for queue in queues]
    publish = [
        *bound(names, queues),
        *enqueueing(names, queues),
        # tasks
        names.marker("*"),
        names.control("*"),
        *reading(names.tasks),
        *api("STREAM.MSG.GET", [names.links]),
        *api("STREAM.MSG.DELETE", [names.tasks]),
        *api("STREAM.PURGE", [names.schedules, names.links]),
        # schedules
        names.stored_schedule("*"),
        *reading(configuration),
        *api("STREAM.MSG.GET", [configuration]),
        *api("STREAM.PURGE", [configuration]),
        # queues
        "$JS.API.STREAM.NAMES",
        *api("CONSUMER.PAUSE", of_queues, ".WORKERS"),
        *api("CONSUMER.CREATE", of_queues, ".WORKERS"),
        *api("STREAM.PURGE", of_queues),
        *api("STREAM.CREATE", of_queues),
        *api("STREAM.DELETE", of_queues),
    ]
    return Rights(publish, [REPLIES])


def responder(namespace: str, _queues: Sequence[str]) -> Rights:
    names = Names(namespace)
    services = [f"$SRV.{verb}{rest}" for verb in VERBS for rest in ("", ".>")]
    subscribe = [REPLIES, names.remote_subject, names.remote_cancel("*"), *services]
    return Rights(["$JS.API.INFO", names.task_progress("*")], subscribe, answers="1h")


def asking(namespace: str, _queues: Sequence[str]) -> Rights:
    names = Names(namespace)
    return Rights([names.remote_subject, names.remote_cancel("*")], [REPLIES])


ROLES = {
    "scheduler": Role(
        "Scheduler",
        "`jetq beat` and `jetq beat MODULE:APP`; the queues are those of its schedules. Without the right to the "
        "janitor's election it says once that it is no candidate for that, and does its own work.",
        scheduler,
    ),
    "web": Role(
        "HTTP server",
        "`jetq server run`, with all that its callers may do, but for tasks that are unique.",
        web,
    ),
    "responder": Role(
        "Server of remote handlers",
        "`jetq serve`. Answers are allowed for as long as its slowest handler runs. Handlers that call `ctx.progress` "
        "tell it; those that enqueue need the rights of a producer beside these. A program in another language needs "
        "no more than to subscribe to its own types, as `JETQ.H.T.audit:log`, and to answer.",
        responder,
    ),
    "asking": Role(
        "Worker with remote handlers",
        "What a worker needs beside its other rights if its application has handlers made by `app.remote`.",
        asking,
    ),
}
