"""
last_deliveries: an item that the server would hand out once more at most is exchanged for a fresh one.

In a queue that Go shares, the server delivers an item as often as the queue's ``max_deliver`` says, and then leaves it
where it is, for ever. Deliveries are no tries: an item is delivered again whenever it was left (its run is somebody
else's, or Go's), and whenever a worker died. So what is delivered for the last time but one is published again as it
is, expecting the sequence of the one that was delivered; its deliveries are counted from 0, and nothing else is done
about this one. Who dies before that leaves an item that is delivered once more; who is refused (somebody else has
published a newer one, or it was acknowledged) has nothing to do; who finds the queue full works with what he has.

With a ``max_deliver`` of 2 the last delivery itself is exchanged, since else every one would be. With 1 nothing can be:
a task of such a queue whose worker dies is lost to the queue, as it is to Go's workers, until somebody retries it. (So
it is with 2, if two die, the second before the exchange.) Whoever gives an item back, as a worker that stops does, is
alive and can do better: he leaves a fresh one where the server would not deliver this one any more (`worker.desk`).
"""

from jetq.errors import LimitReachedError, SequenceConflictError
from jetq.jetstream.bound_queue import BoundQueue
from jetq.jetstream.publisher import Publication, Publisher, expecting
from jetq.jetstream.puller import Delivery

_LEAST = 2
"""Deliveries of an item that is exchanged; fewer would exchange it without an end."""


def is_worn(delivery: Delivery, queue: BoundQueue) -> bool:
    """Whether an item was delivered so often that it is to be exchanged."""
    if not queue.made_by_go or queue.max_tries < _LEAST:
        return False
    return delivery.delivered >= max(_LEAST, queue.max_tries - 1)


def is_last(delivery: Delivery, queue: BoundQueue) -> bool:
    """Whether the server will not deliver an item again."""
    return queue.made_by_go and 0 < queue.max_tries <= delivery.delivered


def fresh_item(delivery: Delivery) -> Publication:
    """Return the item that was delivered for another round, in its place; it is refused if there is a newer one."""
    message = delivery.message
    return Publication(message.subject, message.data, expecting(delivery.sequence))


async def exchange(delivery: Delivery, publisher: Publisher) -> bool:
    """
    Put a fresh item into the place of one that was delivered; say whether nothing is left to be done about that.

    Raises:
        ServerTimeoutError: No answer; the item is delivered again, or was exchanged.
    """
    try:
        await publisher.publish(fresh_item(delivery))
    except SequenceConflictError:
        return True
    except LimitReachedError:
        return False
    return True
