"""The status updater: what the platforms say became of a message.

Owns the order of its steps: an event is stored before anything else, then applied to its message; only then
is a delivery done. What an event means is `shared.messaging.messages`.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead, Disposition
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.messaging.messages import EventKey, StoredEvent, Tracker, describe_rejection
from shared.messaging.messages.states import StatusOutcome
from shared.observability.metrics import Metrics, count_repairs
from shared.reasons import DeadReason
from workers.status_updater.intake import Reported, take_in


class StatusUpdater(Handler):
    """Handles the queue `status-updater`."""

    def __init__(self, worker: str, tracker: Tracker, metrics: Metrics) -> None:
        self._worker = worker
        self._tracker = tracker
        self._metrics = metrics

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Store and apply a batch; see `shared.consuming.consumer.Handler`."""
        intake = take_in(batch)
        count_repairs(self._metrics, self._worker, intake.characters_replaced, intake.fields_dropped)
        if intake.dead:
            yield intake.dead
        if not intake.reports:
            return
        stored = await self._tracker.store([report.event for report in intake.reports.values()])
        outcomes = await self._tracker.apply([_in_hand(item, intake.reports) for item in stored])
        self._count_repetitions(intake.reports.values(), stored)
        yield [
            (delivery, disposition)
            for item in stored
            for delivery, disposition in _dispose(intake.reports[item.event.key], outcomes[item.id])
        ]

    def _count_repetitions(self, reports: Iterable[Reported], stored: Sequence[StoredEvent]) -> None:
        """Copies of one event in the batch, and events that were settled before."""
        copies = sum(len(report.deliveries) - 1 for report in reports)
        repeated = copies + sum(item.outcome is not None for item in stored)
        self._metrics.duplicate_messages.labels(self._worker).inc(repeated)
        self._metrics.status_events.labels(StatusOutcome.DUPLICATE.value).inc(repeated)


def _in_hand(item: StoredEvent, reports: Mapping[EventKey, Reported]) -> StoredEvent:
    """A rejected event that is replayed is judged again; what was applied is not applied twice."""
    report = reports[item.event.key]
    is_again = report.is_replay and item.outcome is StatusOutcome.REJECTED
    return StoredEvent(item.id, item.event, None if is_again else item.outcome, report.deliveries[0])


def _dispose(report: Reported, outcome: StatusOutcome) -> list[Settled]:
    """The first copy says what came of the event; the others are repetitions."""
    first, *copies = report.deliveries
    done: Disposition = Ack()
    if outcome is StatusOutcome.REJECTED:
        done = Dead(DeadReason.STATE_VIOLATION, describe_rejection(report.event))
    return [(first, done), *((copy, Ack()) for copy in copies)]
