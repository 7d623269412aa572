"""All rows of the matrix, in the order of the page."""

from tests.faults.matrix import absences, clusters, deaths

SCENARIOS = (*deaths.SCENARIOS, *absences.SCENARIOS, *clusters.SCENARIOS)
