"""Copies that RabbitMQ does not take: each keeps its own delivery in hand, and nobody else waiting.

Owns that they are at nobody's work meanwhile: a full queue of dead letters or of a delay tier stops no other.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from shared.consuming.settlement import Settled
from shared.consuming.workbench import Workbench
from shared.errors import BrokerError, StoreUnavailable


class LateCopies:
    """Of one queue. `put_back` gets what could not be settled for as long as it may be in hand."""

    def __init__(
        self,
        inlet: Inlet,
        bench: Workbench,
        put_back: Callable[[Sequence[Delivery]], Awaitable[None]],
    ) -> None:
        self._inlet = inlet
        self._settlement = bench.settlement
        self._gate = bench.gate
        self._inflight = bench.metrics.inflight.labels(bench.worker)
        self._put_back = put_back

    def see_through(self, late: list[Settled], tasks: asyncio.TaskGroup) -> None:
        """Go on with these beside all else."""
        if late:
            tasks.create_task(self._settle(late), name=f"late copies of {self._inlet.queue}")

    async def _settle(self, late: list[Settled]) -> None:
        count = len(late)
        self._inflight.inc(count)
        try:
            await self._settlement.see_through(self._inlet, late)
        except (BrokerError, StoreUnavailable) as error:
            if isinstance(error, StoreUnavailable):
                self._gate.shut(error)
            await self._put_back([delivery for delivery, _ in late])
        finally:
            self._inflight.dec(count)
