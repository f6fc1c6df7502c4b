"""The consumer of `notifier`: each nudge has some due notices decided."""

from collections.abc import AsyncIterator, Sequence

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead
from shared.commerce.notices.claiming import DecidedNotice, LeasedNotice, NoticeStore
from shared.commerce.notices.due import JOB
from shared.commerce.notices.nudge import DUE_KEY, PER_NUDGE
from shared.commerce.notices.rules import PostponeNotice, QueueNotice
from shared.consuming.settlement import Settled
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.observability.metrics import Metrics
from shared.reasons import DeadReason


class Notifier:
    """Handles batches of nudges. Who asks for what is decided already finds nothing due."""

    def __init__(self, store: NoticeStore, aside: RowsAside, outbox: Outbox, metrics: Metrics) -> None:
        self._store = store
        self._aside = aside
        self._outbox = outbox
        self._metrics = metrics

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Handle a batch; see `shared.consuming.consumer.Handler`."""
        for delivery in batch:
            if delivery.origin_routing_key != DUE_KEY:
                told = f"routing key: not {DUE_KEY}"
                yield [(delivery, Dead(DeadReason.INVALID_PAYLOAD, told))]
                continue
            await self._decide_due()
            yield [(delivery, Ack())]

    async def _decide_due(self) -> None:
        """A notice that cannot be decided is set aside, and keeps no other waiting."""
        leased = await self._store.lease(PER_NUDGE)
        await self._aside.work(JOB, leased, lambda item: item.id, self._decide)

    async def _decide(self, leased: Sequence[LeasedNotice]) -> int:
        claimed = await self._store.decide(leased)
        await self._outbox.publish(claimed.events)
        for item in claimed.decided:
            self._count(item)
        return len(claimed.decided)

    def _count(self, item: DecidedNotice) -> None:
        match item.decision:
            case QueueNotice():
                outcome = "queued"
            case PostponeNotice():
                outcome = "postponed"
            case _:
                outcome = "skipped"
        kind = item.row["kind"]
        self._metrics.notices.labels(kind, outcome).inc()
        late = item.at - item.row["not_before"]
        self._metrics.notice_lateness.labels(kind).observe(late.total_seconds())
