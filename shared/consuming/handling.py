"""What a queue is worked with: a handler's contract, how its batches are made, and how long they waited."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Told
from shared.observability.metrics import Metrics


class Handler(Protocol):
    """Decides what becomes of a batch. Effects are committed before a disposition is given."""

    def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Told]]:
        """Give each delivery of the batch exactly one disposition, in groups, as they are done.

        May be called again with those that got none, after an error of a server; so it is idempotent. It may
        name some of them early, so that they need not wait for the end of the others.
        """
        ...


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How one queue is consumed. `batches`: how many may be worked at once, each begun when it is there.

    `overlapping`, in place of `batches`: two, the second one begun only when it is full, and no two messages
    of one order key at once. `gives_up`: a message whose row stays locked is retried in the end, and counted.
    """

    batch_size: int
    linger_s: float
    batches: int = 1
    overlapping: bool = False
    gives_up: bool = True


def observe_wait(metrics: Metrics, worker: str, part: Sequence[Delivery]) -> None:
    """The broker's timestamps are whole seconds: half of one is taken off, on average right."""
    wait = metrics.queue_wait.labels(worker)
    now = time.time()
    for delivery in part:
        if delivery.published_at is not None:
            wait.observe(max(0.0, now - delivery.published_at - 0.5))
