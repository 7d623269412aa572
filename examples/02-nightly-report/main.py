"""
Write a nightly report, as a flow of tasks on a NATS server that this program starts and stops.

    python examples/02-nightly-report/main.py [SHOP ...]

The tills of some shops are read side by side, each shop's sales are added up, and the report is written when all of
that is done. The sales are invented, and the same in each run. The till of Paola cannot be reached: it is tried again,
then given up, and the report says so.
"""

import asyncio
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from jetq import App, Dependency, EmbeddedServer, Flow, JetqError, Queue, TaskHandle, TaskStateEvent, Worker

SHOPS = ["Birgu", "Gozo", "Mosta", "Paola", "Sliema", "Valletta"]
UNREACHABLE = {"Paola"}
WARES = {"bread": 2.5, "cheese": 6.8, "honey": 9.0, "wine": 12.4}

app = App("nightly", queues=[Queue("TILLS", max_concurrent=4)])  # the tills share one line: four at a time


@dataclass
class Sale:
    """What was sold at one time."""

    ware: str
    pieces: int


@dataclass
class Totals:
    """What a shop sold."""

    shop: str
    sales: int
    revenue: float
    best: str


Failure = dict[str, dict[str, str]]
"""What a task gets in the place of a result, if it runs in spite of a failure: its one key is ``error``."""


@app.task("till:read", queue="TILLS", max_tries=2, retry=0.2, timeout=10)
async def read_till(shop: str) -> list[Sale]:
    """Read one till; that takes its time, but no thread."""
    chance = random.Random(shop)  # noqa: S311 - sales need not be secret
    await asyncio.sleep(chance.uniform(0.1, 0.5))
    if shop in UNREACHABLE:
        raise ConnectionError(f"no line to {shop}")
    return [Sale(chance.choice(list(WARES)), chance.randint(1, 9)) for _ in range(chance.randint(40, 200))]


@app.task("sales:sum")
def add_up(shop: str, sales: list[Sale]) -> Totals:
    """Add up what a shop sold. A sync handler runs in a thread."""
    by_ware: dict[str, int] = {}
    for sale in sales:
        by_ware[sale.ware] = by_ware.get(sale.ware, 0) + sale.pieces
    revenue = sum(WARES[ware] * pieces for ware, pieces in by_ware.items())
    return Totals(shop, len(sales), round(revenue, 2), max(by_ware, key=lambda ware: by_ware[ware]))


@app.task("weather:read")
async def read_weather() -> str:
    """Ask how the day was."""
    await asyncio.sleep(0.2)
    return "sunny"


@app.task("report:write")
def write_report(title: str, weather: str, shops: list[Totals | Failure]) -> list[str]:
    """Write the report; whoever could not be asked is told in a line of its own."""
    known = sorted((each for each in shops if isinstance(each, Totals)), key=lambda each: -each.revenue)
    lines = [f"{title} ({weather}): {sum(each.revenue for each in known):,.2f} in {len(known)} shops"]
    lines += [f"{each.shop}: {each.revenue:,.2f} by {each.sales} sales, mostly {each.best}" for each in known]
    reasons = [each["error"]["message"].rpartition(": ")[2] for each in shops if isinstance(each, dict)]
    return lines + [f"missing: {reason}" for reason in reasons]


def nightly(shops: Iterable[str]) -> Flow:
    """Say what waits for what. Nothing is sent yet."""
    with Flow("nightly-report") as flow:
        sums: list[Dependency] = []
        for shop in shops:
            till = flow.add(read_till.s(shop), name=f"till-{shop}")
            total = flow.add(add_up.s(shop), name=f"sum-{shop}", after=till)  # the sales go to the free parameter
            sums.append(Dependency(total, on_failure="run"))
        weather = flow.add(read_weather.s())
        flow.add(write_report.s("Sales"), name="report", after={"shops": sums, "weather": weather})
    return flow


@dataclass
class Course:
    """How one task of the flow went: its last state, and when each of its runs began and ended."""

    name: str
    state: str
    runs: list[tuple[datetime, datetime]]


async def follow(name: str, handle: TaskHandle[Any]) -> Course:
    """Follow a task until its end."""
    course = Course(name, "", [])
    async for event in handle.events():
        if isinstance(event, TaskStateEvent):
            course.state = event.display_state
            if event.outcome:  # a run has ended
                took = timedelta(microseconds=event.duration / 1000)
                course.runs.append((event.timestamp - took, event.timestamp))
    return course


async def run(flow: Flow, console: Console) -> tuple[list[str], list[Course]]:
    """Enqueue the flow, let a worker carry it out here, and return the report, and how all went."""
    with EmbeddedServer.start() as server:
        app.connect_to(server.address)
        async with app:
            handle = await flow.aenqueue()
            following = [asyncio.create_task(follow(name, task)) for name, task in handle.nodes.items()]
            async with Worker(app):  # once somebody follows: the quickest task takes a few milliseconds
                courses = [await course for course in track(following, "The night", console=console)]
                result = await handle.aresult()
            return result["report"], courses


def show(report: list[str], courses: list[Course], console: Console) -> None:
    """Print when each task ran, a bar for each run, then the report."""
    moments = [moment for course in courses for both in course.runs for moment in both]
    first, whole = min(moments), (max(moments) - min(moments)).total_seconds()
    room = max(10, min(60, console.width - 50))
    table = Table(title="How the night went")
    table.add_column("task", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("runs", justify="right")
    table.add_column(f"in {whole:.2f} s", no_wrap=True)
    for course in courses:
        bars = [" "] * room
        for start, end in course.runs:
            left, right = (round((moment - first).total_seconds() / whole * (room - 1)) for moment in (start, end))
            bars[left : right + 1] = "█" * (right + 1 - left)
        style = "green" if course.state == "complete" else "red"
        table.add_row(course.name, course.state, str(len(course.runs)), "".join(bars), style=style)
    console.print(table)
    console.print(*report, sep="\n", markup=False, highlight=False)


if __name__ == "__main__":
    screen = Console()
    try:
        show(*asyncio.run(run(nightly(sys.argv[1:] or SHOPS), screen)), screen)
    except JetqError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted")
