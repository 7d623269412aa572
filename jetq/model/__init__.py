"""
model: what the words of jetq mean, as pure data and pure functions.

Belongs here: records, states, outcomes, verdicts, retry policies, patterns of time, events as values.
Does not: I/O, clocks (time comes in as ``now``), bytes (wire), names of streams (wire.names), logging.
"""
