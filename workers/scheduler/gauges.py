"""The gauges of the whole cluster, read by the replica that holds the lease."""

from typing import Final

from shared.amqp.broker import Broker
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, WORK_QUEUES
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.observability.metrics import CIRCUIT_STATES, Metrics, replace_values
from shared.postgres.database import Database
from workers.scheduler.store import QUERIES

#: What gathers is counted up to so many; beyond that its number is PostgreSQL's estimate.
_COUNTED: Final = 10_000


class GaugesJob:
    """Reads depths from RabbitMQ and counts from PostgreSQL."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        outbox: Outbox,
        metrics: Metrics,
        *,
        enriched_queue: bool,
    ) -> None:
        self._database = database
        self._broker = broker
        self._outbox = outbox
        self._metrics = metrics
        self._aside = RowsAside(database)
        self._queues = (*WORK_QUEUES, DLQ_HANDLER, *((ENRICHED,) if enriched_queue else ()))

    async def run(self) -> None:
        """Read all of them once."""
        await self._read_queues()
        metrics, fetchval = self._metrics, self._database.fetchval
        metrics.active_conversations.set(await fetchval(QUERIES["count_active"], _COUNTED))
        metrics.dlq_pending.set(await fetchval(QUERIES["count_pending_dead_letters"], _COUNTED))
        metrics.number_paused.set(await fetchval(QUERIES["count_paused_numbers"]))
        metrics.outbox_oldest.set(await self._outbox.oldest_unmarked_s())
        await self._aside.forgive()
        replace_values(metrics.rows_set_aside, await self._aside.counts())
        deferred = await self._database.fetch(QUERIES["count_deferred"])
        replace_values(metrics.deferred_messages, {row["reason"]: row["count"] for row in deferred})
        circuits = await self._database.fetch(QUERIES["read_circuits"])
        replace_values(
            metrics.circuit_state, {row["service"]: CIRCUIT_STATES[row["state"]] for row in circuits}
        )

    def forget(self) -> None:
        """Another replica reads them now: what was read here would grow stale."""
        for gauge in (
            self._metrics.deferred_messages,
            self._metrics.circuit_state,
            self._metrics.queue_depth,
            self._metrics.rows_set_aside,
        ):
            gauge.clear()
        for gauge in (
            self._metrics.active_conversations,
            self._metrics.dlq_pending,
            self._metrics.number_paused,
            self._metrics.outbox_oldest,
        ):
            gauge.set(0)

    async def _read_queues(self) -> None:
        for queue in self._queues:
            state = await self._broker.queue_state(queue)
            if state is not None:
                self._metrics.queue_depth.labels(queue).set(state.messages)
