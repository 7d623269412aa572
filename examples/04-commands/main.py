"""
Let programs of any language run tasks, on a NATS server that this program starts and stops.

    python examples/04-commands/main.py [TEXT]

A shell script counts the words of a text; where it is given none, it says by its status that no other try would help.
Another script ignores everybody who wants it to end, and is killed at its time limit, with all that it
started. Nothing of this needs Python: ``jetq tasks process 'text:*' TEXTS ./count.sh`` does the same.
"""

import asyncio
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jetq import App, EmbeddedServer, JetqError, Queue, TaskHandle, Worker

HERE = Path(__file__).parent

app = App("programs", queues=[Queue("TEXTS")])

count = app.command("text:count", ["./count.sh"], cwd=HERE, queue="TEXTS", output="json", terminate_on=65)
stubborn = app.command("text:ponder", ["./stubborn.sh"], cwd=HERE, queue="TEXTS", timeout=1, grace=0.5, max_tries=1)


def told(state: str, result: object, error: str) -> str:
    """Return in a line what came of a task."""
    return str(result) if state == "complete" else error.replace("\n", " ")


async def main(text: str) -> None:
    """Run the programs and show what came of them."""
    table = Table("task", "state", "tries", "what came of it")
    with EmbeddedServer.start() as server:
        app.connect_to(server.address)
        async with app, Worker(app):
            handles: dict[str, TaskHandle[object]] = {
                "count the words": await count.aenqueue(text=text),
                "count no words": await count.aenqueue(number=7),
                "ponder for ever": await stubborn.aenqueue(),
            }
            for name, handle in handles.items():
                record = await handle.await_end(30)
                result = await handle.aresult(1) if record.state == "complete" else None
                table.add_row(name, record.state, str(record.tries), told(record.state, result, record.last_err))
    Console().print(table)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "to be or not to be"))
    except JetqError as error:
        sys.exit(str(error))
