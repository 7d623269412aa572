"""All rows of the matrix, in the order of the page."""

from tests.faults.matrix import absences, clusters, deaths, disturbances, partitions, shortages

SCENARIOS = (
    *deaths.SCENARIOS,
    *absences.SCENARIOS,
    *shortages.SCENARIOS,
    *clusters.SCENARIOS,
    *partitions.SCENARIOS,
    *disturbances.SCENARIOS,
)
