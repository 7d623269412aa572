"""
Play the long form of all scenarios, or of those that are named, and write their rows of the page::

    python -m tests.faults.matrix [NAME...]

It takes some minutes. A row with a problem is not written: the problem is printed, and the exit status is 1.
"""

import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.faults.matrix.page import PAGE, figures_of, play, text
from tests.faults.matrix.scenarios import SCENARIOS

SHOWN = 20
"""Problems of one scenario that are printed."""


def main(names: list[str]) -> int:
    """Play, print and write."""
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        print(f"no such scenario: {', '.join(sorted(unknown))}", file=sys.stderr)  # noqa: T201 - a program
        return 2
    status = 0
    for scenario in SCENARIOS:
        if names and scenario.name not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            namespace = f"T{secrets.token_hex(4).upper()}"
            row = asyncio.run(play(scenario, Path(folder), namespace, long=True))
        print(row.line(), *row.verdict.problems[:SHOWN], sep="\n  ", flush=True)  # noqa: T201 - a program
        if row.verdict.problems:
            status = 1
            continue
        figures = figures_of(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
        PAGE.write_text(text(SCENARIOS, figures | {scenario.fault: row.figures()}), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
