"""
worker: the engines that run handlers: for tasks of queues, and for workers elsewhere that ask for it.

Belongs here: fetching into slots, one attempt from delivery to settled, leases, control, presence; answering requests.
Does not: processes and signals (supervisor, runtime), the rules (model.verdict).
"""
