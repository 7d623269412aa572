"""
registry: the task queues that are compared, and what each needs.

Their modules are imported in their own environments only: by the client's process and by the workers.
"""

from typing import Final, NamedTuple


class Peer(NamedTuple):
    """
    One task queue in one configuration.

    Attributes:
        name: As people read it.
        module: In this folder.
        adapter: The class in it.
        environment: Where it is installed: ``requirements-NAME.txt`` says what; "" is the environment of jetq.
        service: Its broker.
        by_default: Whether it is measured when nobody says what is.
    """

    name: str
    module: str
    adapter: str
    environment: str
    service: str
    by_default: bool = True


BARE: Final = "bare loop"
JETQ: Final = "jetq"
JETQ_UVLOOP: Final = "jetq, uvloop"
CELERY_PREFORK: Final = "celery, prefork"
CELERY_THREADS: Final = "celery, threads"
FASTSTREAM: Final = "faststream, nats"
ASYNCJOBS: Final = "asyncjobs, Go"

PEERS: Final = (
    Peer(BARE, "bare_peer", "BarePeer", "", "nats"),
    Peer(JETQ, "jetq_peer", "JetqPeer", "", "nats"),
    Peer(JETQ_UVLOOP, "jetq_peer", "JetqUvloop", "", "nats"),
    Peer(ASYNCJOBS, "asyncjobs_peer", "AsyncjobsPeer", "", "nats"),
    Peer(FASTSTREAM, "faststream_peer", "FastStreamPeer", "main", "nats"),
    Peer("taskiq, nats", "taskiq_nats_peer", "TaskiqNats", "taskiq", "nats"),
    Peer("taskiq, redis", "taskiq_redis_peer", "TaskiqRedis", "taskiq", "redis"),
    Peer(CELERY_PREFORK, "celery_peer", "CeleryPrefork", "main", "redis"),
    Peer(CELERY_THREADS, "celery_peer", "CeleryThreads", "main", "redis"),
    Peer("celery, gevent", "celery_peer", "CeleryGevent", "main", "redis", by_default=False),
    Peer("dramatiq", "dramatiq_peer", "DramatiqPeer", "main", "redis"),
    Peer("rq", "rq_peer", "RqPeer", "main", "redis", by_default=False),
    Peer("rq, simple", "rq_peer", "RqSimple", "main", "redis"),
    Peer("huey", "huey_peer", "HueyPeer", "main", "redis"),
    Peer("arq", "arq_peer", "ArqPeer", "arq", "redis", by_default=False),
    Peer("arq, fast poll", "arq_peer", "ArqFast", "arq", "redis"),
    Peer("saq", "saq_peer", "SaqPeer", "main", "redis"),
    Peer("streaq", "streaq_peer", "StreaqPeer", "main", "redis"),
    Peer("procrastinate", "procrastinate_peer", "ProcrastinatePeer", "main", "postgres"),
)
CELERY: Final = (CELERY_PREFORK, CELERY_THREADS, "celery, gevent")
OURS: Final = (BARE, JETQ, JETQ_UVLOOP)


def chosen(only: str) -> list[Peer]:
    """
    Return those that are named, separated by ``;``, by their beginnings; without names those that are by default.

    Raises:
        ValueError: A name fits none.
    """
    if not only:
        return [peer for peer in PEERS if peer.by_default]
    wanted = [name.strip() for name in only.split(";")]
    for name in wanted:
        if not any(peer.name.startswith(name) for peer in PEERS):
            raise ValueError(f"no peer is called {name!r}; there are: {'; '.join(peer.name for peer in PEERS)}")
    return [peer for peer in PEERS if any(peer.name.startswith(name) for name in wanted)]
