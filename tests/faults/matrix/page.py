"""
page: the matrix as a table, and the page of the documentation that shows it.

What a run of the tests measured is shown at its end; ``python -m tests.faults.matrix`` plays the long form of every
scenario and writes the page (a number of minutes; with names, those scenarios alone, and writes nothing).
"""

import time
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


class Row(NamedTuple):
    """
    What one scenario gave.

    Attributes:
        took: Seconds in all.
    """

    scenario: Scenario
    verdict: Verdict
    took: float

    def cells(self) -> tuple[str, ...]:
        """Return the cells of :data:`HEAD`."""
        said = self.verdict
        return (
            self.scenario.fault,
            f"{said.acknowledged:,}",
            f"{said.completed:,}",
            str(said.lost),
            str(said.doubled),
            f"{said.stall:.1f} s",
            f"{said.recovery:.1f} s",
            f"{said.wait:.1f} s",
            str(said.unacknowledged),
            str(said.stored),
        )

    def line(self) -> str:
        """Say all of it in a line."""
        figures = ", ".join(f"{name} {cell}" for name, cell in zip(HEAD[1:], self.cells()[1:], strict=True))
        return f"{self.scenario.name:22} took {self.took:5.1f} s: {figures}"


async def play(scenario: Scenario, folder: Path, namespace: str, *, long: bool) -> Row:
    """Play a scenario in an empty folder, and judge."""
    began = time.monotonic()
    with Scene(folder, namespace, long=long) as scene:
        await scenario.play(scene)
        verdict = await scene.settle()
    return Row(scenario, verdict, time.monotonic() - began)
