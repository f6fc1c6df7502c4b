"""What one consumer has in hand: tags and bytes, and what it refuses because there are too many of them.

Owns which tags may still be answered and when consuming must stop. It knows no channel and writes nothing: an
implementation tells it what came and asks it what to write.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from shared.amqp.acknowledgement import plan_acknowledgement
from shared.amqp.arrivals import Arrivals
from shared.amqp.decoding import HeaderTable
from shared.amqp.delivery import Delivery

log = logging.getLogger(__name__)

#: A header table of many small values takes so many times its bytes once it is decoded.
_DECODED: Final = 20


def weigh(delivery: Delivery) -> int:
    """Bytes that it takes in memory, about."""
    headers = delivery.headers
    return len(delivery.body) + (_DECODED * headers.wire_bytes if isinstance(headers, HeaderTable) else 0)


class InHand:
    """At most so many bytes, of one channel at a time; each channel is a generation.

    `on_change` is called when consuming must stop or may go on, and when something was refused.
    """

    def __init__(self, queue: str, bytes_allowed: int, on_change: Callable[[], None]) -> None:
        self.arrivals = Arrivals()
        self.generation = 0
        #: Deliveries that were taken in, ever.
        self.heard = 0
        self.is_throttled = False
        self._queue = queue
        self._bytes_allowed = bytes_allowed
        self._on_change = on_change
        self._outstanding: dict[int, int] = {}
        self._bytes = 0
        self._refused: list[Delivery] = []
        self._largest = 0

    @property
    def is_empty(self) -> bool:
        """Whether every tag is answered."""
        return not self._outstanding

    @property
    def has_refused(self) -> bool:
        """Whether something waits for the end of the consumer to be given back."""
        return bool(self._refused)

    @property
    def is_over_large_bodies(self) -> bool:
        """Whether few were taken at once for bodies so large, and all of them are done."""
        return bool(self._largest) and not self._outstanding

    def begin_generation(self) -> int:
        """A new channel: tags begin anew, and what was in hand will be redelivered."""
        self.generation += 1
        self.drop()
        return self.generation

    def drop(self) -> None:
        """The channel is gone and its tags with it: what was not taken will be redelivered."""
        self.arrivals.empty()
        self._refused.clear()
        self._largest = 0
        self._outstanding.clear()
        self._bytes = 0
        self.is_throttled = False

    def add(self, delivery: Delivery) -> None:
        """One that came by the channel as it is: to `arrivals`, or refused."""
        size = weigh(delivery)
        if self._bytes + size > self._bytes_allowed and self._bytes:
            self._refuse(delivery, size)
            return
        self._outstanding[delivery.tag] = size
        self.heard += 1
        self._bytes += size
        self.arrivals.put(delivery)

    def _refuse(self, delivery: Delivery, size: int) -> None:
        """Too many bytes in hand: stop consuming until half of them are done.

        It is given back when the consumer is cancelled: before, RabbitMQ would deliver it again at once, and
        count that, until it is dead. Until then its tag is outstanding: no multiple ack may answer for it.
        """
        if not self.is_throttled:
            log.warning("%s: more than the allowed bytes in hand; consuming pauses", self._queue)
        self.is_throttled = True
        self._largest = max(self._largest, size)
        self._outstanding[delivery.tag] = 0
        self._refused.append(replace(delivery, body=b"", headers={}))
        self._on_change()

    def take_refused(self) -> list[Delivery]:
        """What was refused, to be released now that the consumer is cancelled."""
        refused, self._refused = self._refused, []
        return refused

    def acknowledge(self, deliveries: Sequence[Delivery]) -> tuple[int | None, list[int]]:
        """What to write: (tag to acknowledge with everything below it, tags to acknowledge alone)."""
        done = self._ours(deliveries)
        plan = plan_acknowledgement(self._outstanding, done)
        self._forget(done)
        return plan

    def give_back(self, deliveries: Sequence[Delivery]) -> list[int]:
        """Tags to give back, in their order."""
        tags = self._ours(deliveries)
        self._forget(tags)
        return sorted(tags)

    def put_back(self, deliveries: Sequence[Delivery]) -> None:
        """To `arrivals`, as if they had not been taken; those of a channel that is gone come anew."""
        tags = self._ours(deliveries)
        self.arrivals.put_back([item for item in deliveries if item.tag in tags])

    def prefetch(self, usual: int) -> int:
        """Fewer at once where bodies are so large that the usual number would burst the bytes in hand."""
        largest = max(self._largest, *self._outstanding.values(), 0)
        return max(1, min(usual, self._bytes_allowed // (largest or 1)))

    def forget_large_bodies(self) -> None:
        """Back to the usual number at once."""
        self._largest = 0

    def _ours(self, deliveries: Sequence[Delivery]) -> set[int]:
        """Tags that count on the channel as it is, and have not been answered."""
        tags = {item.tag for item in deliveries if item.generation == self.generation}
        return tags & self._outstanding.keys()

    def _forget(self, tags: Iterable[int]) -> None:
        for tag in tags:
            self._bytes -= self._outstanding.pop(tag, 0)
        if self.is_throttled and self._bytes <= self._bytes_allowed // 2:
            self.is_throttled = False
            self._on_change()
