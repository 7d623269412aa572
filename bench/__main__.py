"""
bench: what jetq costs, beside what it cannot cost less than.

``python -m bench limit|flows|pools|imports|idle|beat|soak``
"""

import argparse

from bench import beat, flows, idle, imports, limit, pools, soak


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure jetq.")
    commands = parser.add_subparsers(required=True, metavar="BENCHMARK")
    for name, module, about in (
        ("limit", limit, "throughput beside the bare loop, and latency"),
        ("flows", flows, "what waiting for others costs"),
        ("pools", pools, "what calling a handler costs: on the loop, in a thread, in a process"),
        ("imports", imports, "what starting costs, beside import nats"),
        ("beat", beat, "a scheduler with ten thousand schedules"),
        ("idle", idle, "processor and memory of a worker without work"),
        ("soak", soak, "whether memory stays flat over many tasks"),
    ):
        command = commands.add_parser(name, help=about, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    given = parser.parse_args()
    given.run(given)


main()
