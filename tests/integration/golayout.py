"""The streams of a namespace as asyncjobs v0.3.0 makes them: what its libraries send, field by field."""

from typing import Any

from jetq.jetstream.connection import Connection

SECOND = 1_000_000_000


def stream(name: str, subjects: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "subjects": subjects,
        "retention": "limits",
        "max_consumers": -1,
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": 1,
        "max_msg_size": -1,
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "allow_direct": False,
        "allow_msg_ttl": False,
    } | fields


async def make_stream(connection: Connection, config: dict[str, Any]) -> None:
    await connection.api(f"STREAM.CREATE.{config['name']}", config)


async def make_store(connection: Connection, namespace: str, **fields: Any) -> None:
    config = stream(f"{namespace}_TASKS", [f"{namespace}.T.*"], description="Choria Async Jobs Tasks")
    await make_stream(connection, config | fields)


async def make_queue(
    connection: Connection,
    namespace: str,
    queue: str,
    *,
    consumer: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    name = f"{namespace}_Q_{queue}"
    config = stream(name, [f"{namespace}.Q.{queue}.>"], description="Choria Async Jobs Work Queue")
    await make_stream(connection, config | {"retention": "workqueue", "discard": "new"} | fields)
    worker = {
        "name": "WORKERS",
        "durable_name": "WORKERS",
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": 60 * SECOND,
        "max_deliver": 100,
        "max_ack_pending": 100,
        "replay_policy": "instant",
    }
    body = {"stream_name": name, "config": worker | (consumer or {})}
    await connection.api(f"CONSUMER.CREATE.{name}.WORKERS", body)


async def make_bucket(connection: Connection, bucket: str, *, ttl: int = 0) -> None:
    config = stream(f"KV_{bucket}", [f"$KV.{bucket}.>"], discard="new", max_age=ttl * SECOND)
    config |= {"allow_direct": True, "allow_rollup_hdrs": True, "deny_delete": True}
    if ttl:
        config["duplicate_window"] = ttl * SECOND
    await make_stream(connection, config)


async def make_namespace(connection: Connection, namespace: str) -> None:
    await make_store(connection, namespace)
    await make_bucket(connection, f"{namespace}_CONFIGURATION")
    await make_bucket(connection, f"{namespace}_ELECTIONS", ttl=10)
    await make_queue(connection, namespace, "DEFAULT")
