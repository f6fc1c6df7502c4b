"""The gauges of the whole cluster, read by the replica that holds the lease."""

from shared.amqp.broker import Broker
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, WORK_QUEUES
from shared.consuming.ages import QueueAges
from shared.durable.aside import RowsAside
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.postgres.gauges import TableGauges
from shared.tables import TABLES


class GaugesJob:
    """Reads depths and ages from RabbitMQ, and from PostgreSQL what each table says is counted of it."""

    def __init__(
        self, database: Database, broker: Broker, metrics: Metrics, ages: QueueAges, *, enriched_queue: bool
    ) -> None:
        self._broker = broker
        self._aside = RowsAside(database)
        self._tables = TableGauges(database, metrics, TABLES)
        self._queue_depth = metrics.queue_depth
        self._ages = ages
        self._queues = (*WORK_QUEUES, DLQ_HANDLER, *((ENRICHED,) if enriched_queue else ()))

    async def run(self) -> None:
        """Read all of them once."""
        await self._read_queues()
        await self._aside.forgive()
        await self._tables.read()

    def forget(self) -> None:
        """Another replica reads them now: what was read here would grow stale."""
        self._queue_depth.clear()
        self._ages.forget()
        self._tables.forget()

    async def _read_queues(self) -> None:
        for queue in self._queues:
            state = await self._broker.queue_state(queue)
            if state is not None:
                self._queue_depth.labels(queue).set(state.messages)
                self._ages.watch(queue, state)
