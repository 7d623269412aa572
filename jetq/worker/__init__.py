"""
worker: the engine that runs tasks.

Belongs here: fetching into slots, one attempt from delivery to settled, leases, control, presence.
Does not: processes and signals (supervisor, runtime), the rules (model.verdict).
"""
