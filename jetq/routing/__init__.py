"""
routing: which function takes a task.

Belongs here: patterns, handlers (a function with its options and its signature), payload binding, the router.
Does not: running a handler (execution), knowing of queues or workers.
"""
