"""All rows of the matrix, in the order of the page."""

from tests.faults.matrix import single_server

SCENARIOS = (*single_server.SCENARIOS,)
