"""
client: the write path and waiting.

Belongs here: enqueueing, handles, waiting for results, and the one bridge from sync code to async.
Does not: running tasks, inspecting other people's tasks (admin).
"""
