"""A handler's contract, and how long its deliveries waited for it."""

import time
from collections.abc import AsyncIterator, Sequence
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


def observe_wait(metrics: Metrics, worker: str, part: Sequence[Delivery]) -> None:
    """The broker's timestamps are whole seconds: half of one is taken off, on average right."""
    wait = metrics.queue_wait.labels(worker)
    now = time.time()
    for delivery in part:
        if delivery.published_at is not None:
            wait.observe(max(0.0, now - delivery.published_at - 0.5))
