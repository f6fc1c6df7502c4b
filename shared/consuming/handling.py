"""A handler's contract, and how long its deliveries waited for it."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Told
from shared.observability.metrics import Metrics


class Handler(Protocol):
    """Decides what becomes of a batch. Effects are committed before a disposition is given.

    Several batches of one queue may be with it at once, if its route says so.
    """

    def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Told]]:
        """Give each delivery of the batch exactly one disposition, in groups, as they are done.

        Deliveries of one order key come in the order in which they arrived. Dispositions may be given in any
        order, early ones before the others are done. It may block for as long as the work takes; what is in
        hand of the queue meanwhile is bounded by its prefetch. It may raise anything: after StoreUnavailable
        and BrokerError all that has no disposition is put back; after StoreConflict it is handled again, and
        in the end waits in lines of its own; any other error has a culprit, so each is handled alone, and the
        one that fails alone is dead (StoreDataError) or retried and counted. So a delivery may come again,
        even one whose disposition could not be carried out: handling is idempotent. The iterator is closed
        early where a disposition cannot be carried out.
        """
        ...


def observe_wait(metrics: Metrics, worker: str, lane: str, part: Sequence[Delivery]) -> None:
    """The broker's timestamps are whole seconds: half of one is taken off, on average right."""
    wait = metrics.queue_wait.labels(worker, lane)
    now = time.time()
    for delivery in part:
        if delivery.published_at is not None:
            wait.observe(max(0.0, now - delivery.published_at - 0.5))
