"""
app: the user's handle.

Belongs here: App, the task functions that its decorator returns, groups of them. It registers and enqueues; it owns
no loop and no process. Does not: running workers (worker, runtime).
"""
