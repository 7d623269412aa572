"""
procrastinate_peer: Procrastinate on PostgreSQL, with its asynchronous connector.
"""

from procrastinate import App, PsycopgConnector

from bench.peers.adapter import POSTGRES_DSN, Adapter, Payload, handle, module_command

app = App(connector=PsycopgConnector(conninfo=POSTGRES_DSN, min_size=4, max_size=20))


@app.task(name="noop")
async def noop(payload: Payload) -> Payload:
    """Do nothing."""
    return handle(payload)


class ProcrastinatePeer(Adapter):
    """Procrastinate."""

    distributions = ("procrastinate", "psycopg")
    stores_results = "state"
    waits = False
    is_async = True
    has_bulk = True
    tasks = 1_000
    singles = 800
    configuration = "PostgreSQL with default durability, --concurrency 10, LISTEN/NOTIFY, pool of 20, ended jobs kept"

    def commands(self) -> list[list[str]]:
        """Return the one command."""
        options = ("--log-level", "warning", "worker", "--concurrency", "10")
        return [module_command("procrastinate", "--app", "bench.peers.procrastinate_peer.app", *options)]

    async def open(self) -> None:
        """Connect, and make the tables."""
        await app.open_async()
        row = await app.connector.execute_query_one_async("SELECT to_regclass('procrastinate_jobs') AS found")
        if row["found"] is None:
            await app.schema_manager.apply_schema_async()

    async def close(self) -> None:
        """Disconnect."""
        await app.close_async()

    async def reset(self) -> None:
        """Drop all."""
        await app.connector.execute_query_async("TRUNCATE procrastinate_jobs, procrastinate_events CASCADE")

    async def enqueue(self, payload: Payload) -> int:
        """Enqueue one."""
        return await noop.defer_async(payload=payload)

    async def enqueue_bulk(self, payloads: list[Payload]) -> None:
        """Enqueue many."""
        await noop.batch_defer_async(*[{"payload": payload} for payload in payloads])

    async def count_results(self) -> int:
        """Count those that ended."""
        row = await app.connector.execute_query_one_async(
            "SELECT count(*) AS total FROM procrastinate_jobs WHERE status = 'succeeded'"
        )
        return row["total"]
