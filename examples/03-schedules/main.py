"""
Say what schedules will do, then let some of them run on a NATS server that this program starts and stops.

    python examples/03-schedules/main.py [SECONDS]

A worker and two schedulers run for some seconds. One of the schedulers leads; it stops half-way, and the other one
takes over. Each planned second has its one task all the same.
"""

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table

from jetq import App, Beat, Context, EmbeddedServer, JetqError, Queue, TaskStateEvent, Worker

app = App("clockwork", queues=[Queue("TICKS")])


@app.task("tick", queue="TICKS")
async def tick(ctx: Context) -> str:
    """Say for which second this is."""
    return f"{ctx.scheduled_for:%H:%M:%S}"


@app.task("report", queue="TICKS")
async def report(ctx: Context, kind: str) -> str:
    """Stand for something longer."""
    return f"{kind} of {ctx.scheduled_for:%Y-%m-%d}"


app.cron("seconds", timedelta(seconds=1), tick.s(), misfire="all")
app.cron("nightly", "30 2 * * *", report.s(kind="sales"), timezone="Europe/Malta")
app.cron("office", "*/15 8-17 * * mon-fri", report.s(kind="stock"), timezone="Europe/Malta", jitter=60)
app.cron("payday", "0 9 * * friL", report.s(kind="wages"), timezone="America/New_York", misfire="all", max_late=86_400)


def show(console: Console) -> None:
    """Print when each schedule is due."""
    table = Table(title="Schedules")
    for heading in ("name", "when", "next", "then"):
        table.add_column(heading)
    for declared in app.schedules.values():
        first, second = declared.occurrences(2)
        table.add_row(declared.name, declared.words, f"{first:%a %d %b %H:%M:%S}", f"{second:%a %d %b %H:%M:%S}")
    console.print(table)


async def collect(ran: list[datetime]) -> None:
    """Remember for which second each task was that completes."""
    async for event in app.events(task_type="tick", states=["complete"]):
        if isinstance(event, TaskStateEvent):
            record = await app.handle(event.task_id).arecord()
            if record.scheduled_for is not None:
                ran.append(record.scheduled_for)


async def run(seconds: float, console: Console) -> list[datetime]:
    """Let the schedules run, stop the scheduler that leads half-way, and return the planned times of what ran."""
    ran: list[datetime] = []
    with EmbeddedServer.start() as server:
        app.connect_to(server.address)
        async with app, Worker(app), AsyncExitStack() as leading:
            await leading.enter_async_context(Beat(app))
            async with Beat(app):
                collecting = asyncio.create_task(collect(ran))
                await asyncio.sleep(seconds / 2)
                await leading.aclose()
                console.print(f"after {len(ran)} tasks the scheduler that leads has stopped; the other one goes on")
                await asyncio.sleep(seconds / 2)
                collecting.cancel()
    return ran


def report_on(ran: list[datetime], console: Console) -> None:
    """Print whether a second was lost or doubled."""
    doubled = sum(count - 1 for count in Counter(ran).values())
    lost = (max(ran) - min(ran)).seconds + 1 - len(set(ran)) if ran else 0
    console.print(f"{len(ran)} tasks ran: {lost} seconds lost, {doubled} doubled")


if __name__ == "__main__":
    screen = Console()
    try:
        show(screen)
        report_on(asyncio.run(run(float(sys.argv[1]) if len(sys.argv) > 1 else 8.0, screen)), screen)
    except ValueError:
        sys.exit(f"how many seconds? {sys.argv[1]!r} is no number")
    except JetqError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
