"""The gauges of the whole cluster, read by the replica that holds the lease."""

from shared.amqp.broker import Broker
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, WORK_QUEUES
from shared.durable.aside import RowsAside
from shared.messaging.upkeep import TABLES
from shared.observability.metrics import Metrics, replace_values
from shared.postgres.database import Database
from shared.upkeep import Counted


class GaugesJob:
    """Reads depths from RabbitMQ, and from PostgreSQL what each table says is counted of it."""

    def __init__(self, database: Database, broker: Broker, metrics: Metrics, *, enriched_queue: bool) -> None:
        self._database = database
        self._broker = broker
        self._aside = RowsAside(database)
        self._queue_depth = metrics.queue_depth
        self._counted = [
            (counted, getattr(metrics, counted.gauge)) for table in TABLES for counted in table.counted
        ]
        self._queues = (*WORK_QUEUES, DLQ_HANDLER, *((ENRICHED,) if enriched_queue else ()))

    async def run(self) -> None:
        """Read all of them once."""
        await self._read_queues()
        await self._aside.forgive()
        for counted, gauge in self._counted:
            values = await self._read(counted)
            if counted.labelled:
                replace_values(gauge, values)
            else:
                gauge.set(values[""])

    def forget(self) -> None:
        """Another replica reads them now: what was read here would grow stale."""
        self._queue_depth.clear()
        for counted, gauge in self._counted:
            if counted.labelled:
                gauge.clear()
            else:
                gauge.set(0)

    async def _read_queues(self) -> None:
        for queue in self._queues:
            state = await self._broker.queue_state(queue)
            if state is not None:
                self._queue_depth.labels(queue).set(state.messages)

    async def _read(self, counted: Counted) -> dict[str, float]:
        """By label; without labels under the empty one."""
        rows = await self._database.fetch(counted.statement, *counted.arguments)
        return {(label[0] if label else ""): counted.numbers.get(value, value) for *label, value in rows}
