"""
admin: inspection and operations by people.

Belongs here: listing, counting, looking at queues and tasks, deleting, purging. Does not: the path of a task.
"""
