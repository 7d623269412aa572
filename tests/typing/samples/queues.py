"""queues: settings are checked where they are written."""

from datetime import timedelta
from typing import assert_type

from jetq.settings import Queue

queue = Queue("EMAIL", max_run_time=timedelta(minutes=5), lease=None, storage="memory")
assert_type(queue.run_time, float)

Queue("EMAIL", storage="tape")  # E: arg-type reportArgumentType
Queue("EMAIL", max_concurent=5)  # E: call-arg reportCallIssue
Queue()  # E: call-arg reportCallIssue
queue.name = "OTHER"  # E: misc reportAttributeAccessIssue
