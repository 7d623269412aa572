"""
page: what playing a scenario gave, and the page of the documentation that shows it for all of them.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.faults.matrix.ledger import Verdict
from tests.faults.matrix.scene import Scenario, Scene

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "failure-matrix.md"
HEAD = (
    "fault",
    "acknowledged",
    "completed",
    "lost",
    "doubled",
    "longest stall",
    "after the fault",
    "slowest task",
    "refused",
    "of these stored",
)
Figures = tuple[str, ...]
"""The cells of a row but the first."""
TEXT = """\
# Failure matrix

<!-- Written by: python -m tests.faults.matrix -->

What happens to tasks when something breaks, measured. A producer enqueues 40 tasks a second (async ones, ones in
threads, ones that fail once, ones with a delay; each runs for 0.1 s), workers of `jetq worker -p 2` run them, and
while they do, something is killed, frozen, cut off or filled up. Producers and handlers note in a file what they do;
when the load has stopped and all is at rest, the file and the records must agree: every acknowledged task reached one
final state, none is lost, none ran again but those whose worker died or lost its lease, and nothing hung for longer
than the lease and 10 s. The lease is 2 s here, 15 s by default. A short form of every row is among the tests
(`tests/faults/test_matrix.py`); these figures are of the long form, on two processors, with nats-server 2.15.

{table}

- **acknowledged**: tasks whose enqueue returned. **completed**: those of them that completed; a task may also end
  because its worker died under it for the third time.
- **lost**: acknowledged, and without an end. **doubled**: runs beyond those that were needed, over all tasks.
- **longest stall**: the longest time in which no task ended while there was work, the fault included. **after the
  fault**: the longest time from a fault, or from its end if it lasted, until the next task ended.
- **slowest task**: the longest time that any single task waited and ran, without the time in which something was away.
- **refused**: enqueues that raised; the caller knows that the task may not be there. **of these stored**: those that
  are there all the same, and run.

## What was done, and what you see

{faults}
"""


class Row(NamedTuple):
    """
    What one scenario gave.

    Attributes:
        took: Seconds in all.
    """

    scenario: Scenario
    verdict: Verdict
    took: float

    def figures(self) -> Figures:
        """Return the cells of :data:`HEAD` but the first."""
        said = self.verdict
        return (
            f"{said.acknowledged:,}",
            f"{said.completed:,}",
            str(said.lost),
            str(said.doubled),
            f"{said.stall:.1f} s",
            f"{said.recovery:.1f} s",
            f"{said.wait:.1f} s",
            f"{said.unacknowledged:,}",
            f"{said.stored:,}",
        )

    def line(self) -> str:
        """Say all of it in a line."""
        figures = ", ".join(f"{name} {cell}" for name, cell in zip(HEAD[1:], self.figures(), strict=True))
        return f"{self.scenario.name:22} took {self.took:5.1f} s: {figures}"


def text(scenarios: Sequence[Scenario], figures: Mapping[str, Figures]) -> str:
    """Return the page; *figures* are by the fault."""
    rows = [(each.fault, *figures.get(each.fault, ("",) * (len(HEAD) - 1))) for each in scenarios]
    faults = "\n\n".join(f"**{each.fault}.** {each.words}" for each in scenarios)
    return TEXT.format(table=table([HEAD, ("---",) * len(HEAD), *rows]), faults=faults)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def figures_of(page: str) -> dict[str, Figures]:
    """Read the figures of a page, by the fault."""
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {fault: tuple(cells) for fault, *cells in rows[2:] if len(cells) == len(HEAD) - 1 and all(cells)}


async def play(scenario: Scenario, folder: Path, namespace: str, *, long: bool) -> Row:
    """Play a scenario in an empty folder, and judge."""
    began = time.monotonic()
    with Scene(folder, namespace, long=long) as scene:
        await scenario.play(scene)
        verdict = await scene.settle()
    return Row(scenario, verdict, time.monotonic() - began)
