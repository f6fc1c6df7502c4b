"""What a sender looks at from time to time: scheduler, numbers, breakers, and how many senders there are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from shared.amqp.broker import QueueState
from shared.amqp.topology import LANES
from shared.coordination.rate import RateLimiter
from shared.durations import Durations
from shared.errors import StoreError
from shared.messaging.numbers.upkeep import TABLES
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from shared.postgres.gauges import TableGauges
from shared.postgres.lease import lapsed_s

NO_SCHEDULER: Final = "no scheduler: what is deferred stays where it is"
_SCHEDULER: Final = "scheduler"


class Watch:
    """One look at each turn, for the health, the gauges and the rate without Redis."""

    def __init__(
        self,
        database: Database,
        queue_state: Callable[[str], Awaitable[QueueState | None]],
        limiter: RateLimiter,
        state: WorkerState,
        metrics: Metrics,
        durations: Durations,
    ) -> None:
        self._database = database
        self._queue_state = queue_state
        self._limiter = limiter
        self._state = state
        self._gauges = TableGauges(database, metrics, TABLES)
        self._durations = durations
        self._started = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Look until cancelled. Servers that are away are looked at again at the next turn."""
        while True:
            try:
                await self._look_for_scheduler()
                await self._gauges.read()
            except StoreError:
                pass  # the gate before the store says so already
            await self._count_consumers()
            await asyncio.sleep(self._durations.gauges_s)

    async def _look_for_scheduler(self) -> None:
        lapsed = await lapsed_s(self._database, _SCHEDULER)
        if lapsed is None:
            lapsed = asyncio.get_running_loop().time() - self._started
        if lapsed > self._durations.scheduler_lease_stale_s:
            self._state.degraded.add(NO_SCHEDULER)
        else:
            self._state.degraded.discard(NO_SCHEDULER)

    async def _count_consumers(self) -> None:
        """Of the lane that most consume: a sender whose one lane stands still sends on the others."""
        lanes = [await self._queue_state(queue) for queue in LANES]
        if known := [lane.consumers for lane in lanes if lane is not None]:
            self._limiter.set_consumers(max(known))
