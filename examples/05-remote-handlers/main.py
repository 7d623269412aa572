"""
Have tasks run by another language: a handler in Node.js or in plain bash, on a NATS server that this program brings.

    python examples/05-remote-handlers/main.py node|shell

The worker here claims the tasks, keeps their leases and stores their ends, as it does for handlers in Python. Running
them is a request over NATS: see README.md beside this file, and the handlers in node/ and shell/.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from jetq import App, EmbeddedServer, JetqError, TaskFailedError, Worker

HERE = Path(__file__).parent
COMMANDS = {"node": ["node", str(HERE / "node" / "handler.mjs")], "shell": ["bash", str(HERE / "shell" / "handler.sh")]}

app = App("words")
count = app.remote("text:count", timeout=30, retry=0.2)


async def main(language: str) -> None:
    """Start a handler in a language, and let it count."""
    with EmbeddedServer.start() as server:
        app.connect_to(server.address)
        environment = os.environ | {"NATS_URL": server.url, "JETQ_NAMESPACE": app.settings.namespace}
        handler = await asyncio.create_subprocess_exec(
            *COMMANDS[language], env=environment, stdout=asyncio.subprocess.PIPE
        )
        ready = b"" if handler.stdout is None else await handler.stdout.readline()
        if not ready:
            sys.exit("the handler did not start")
        print(ready.decode().strip())
        async with app, Worker(app):
            await show("Hello from the other side")
            await show("again")
            await show(None)
        if handler.returncode is None:
            handler.terminate()
        await handler.wait()


async def show(text: str | None) -> None:
    """Enqueue a task and say how it went."""
    handle = await (count.aenqueue() if text is None else count.aenqueue(text=text))
    try:
        print(f"{text!r}: {await handle.aresult(timeout=20)}", end="")
    except TaskFailedError as error:
        print(f"{text!r}: {error.state}, {error.error_message}", end="")
    print(f", after {(await handle.arecord()).tries} tries")


def command_line(arguments: list[str]) -> str:
    """Return the language that was chosen."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        sys.exit(f"which language? one of {', '.join(COMMANDS)}")
    language = arguments[0]
    program = COMMANDS[language][0]
    if shutil.which(program) is None:
        sys.exit(f"there is no {program} here")
    if language == "node" and not (HERE / "node" / "node_modules").exists():
        sys.exit(f"install its one package first: npm ci --prefix {HERE / 'node'}")
    return language


if __name__ == "__main__":
    chosen = command_line(sys.argv[1:])
    try:
        asyncio.run(main(chosen))
    except JetqError as error:
        sys.exit(f"words: {error}")
