"""
bench: what jetq costs, beside what it cannot cost less than and beside other task queues.

``python -m bench BENCHMARK``: each prints a table; ``--json FILE`` stores all that was measured, and ``--quick`` is a
small run that shows that it works.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import Final

import msgspec

from bench import work
from bench.sheet import Sheet

BENCHMARKS: Final = {
    "limit": "throughput beside the bare loop",
    "enqueue": "ways to enqueue, and sizes of arguments",
    "drain": "workers, kinds of handlers, and sizes of arguments",
    "latency": "from a call to its handler and to its result, also after silence",
    "delayed": "how late tasks with a delay are",
    "flows": "what waiting for others costs",
    "many_queues": "one worker that serves many queues",
    "growth": "cost as work grows: queues, stored tasks, processes, delayed tasks, copies",
    "listing": "looking for tasks among many",
    "idle": "processor and memory of a worker without work",
    "memory": "what workers and producers hold after work",
    "pools": "what calling a handler costs: on the loop, in a thread, in a process",
    "imports": "what starting costs, beside import nats",
    "beat": "a scheduler with ten thousand schedules",
    "soak": "whether memory stays flat over many tasks",
    "peers.run": "other task queues, and the table of goals",
    "budget": "calls a task, beside what is recorded",
    "compare": "draw plots and fill the page of the docs from what was stored",
}


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure jetq.")
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    for place, about in BENCHMARKS.items():
        module = import_module(f"bench.{place}")
        command = commands.add_parser(
            place.partition(".")[0].replace("_", "-"),
            help=about,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.add_argument(
            "--json", metavar="FILE", help="store what was measured; - prints it in place of the table"
        )
        command.add_argument("--quick", action="store_true", help="a small run that shows that it works")
        if "--quick" in sys.argv:
            command.set_defaults(**module.QUICK)
        command.set_defaults(module=module)
    given = parser.parse_args()
    report = given.module.measure(given)
    if report is None:
        return
    data = msgspec.json.format(work.encode(report)) + b"\n"
    if given.json == "-":
        sys.stdout.write(data.decode())
        return
    print(report.text() if isinstance(report, Sheet) else given.module.text(report))
    if given.json:
        Path(given.json).write_bytes(data)


main()
