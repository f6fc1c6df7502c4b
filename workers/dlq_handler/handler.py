"""The handler of the queue `dlq-handler`: every dead letter is stored before it is acknowledged.

A dead letter has nowhere else to go, so its handler fails in one way only: with a store that is away, for
which the consumer waits. Whatever else goes wrong is tried again here, each dead letter by itself, then in a
simpler form, and at last without ending its message.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import uuid4

from shared.amqp.delivery import Delivery
from shared.consuming.disposition import Ack
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.durations import Durations
from shared.errors import StoreConflict, StoreError, StoreUnavailable
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.outbox import Outbox
from workers.dlq_handler.letters import read_letter, simplified
from workers.dlq_handler.messages import Corpse
from workers.dlq_handler.store import DeathStore, Stored

logger = get_logger(__name__)


class DeadLetterHandler(Handler):
    """Stores what died, and ends its messages."""

    def __init__(self, store: DeathStore, outbox: Outbox, metrics: Metrics, durations: Durations) -> None:
        self._store = store
        self._outbox = outbox
        self._metrics = metrics
        self._durations = durations
        self._reader = uuid4().hex

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Store and acknowledge; see `shared.consuming.consumer.Handler`. Raises StoreUnavailable only."""
        corpses = [Corpse(delivery, read_letter(delivery, self._reader)) for delivery in batch]
        for stored in await self._store_together(corpses):
            for reason in stored.reasons:
                self._metrics.dlq_messages.labels(reason.value).inc()
            await self._outbox.publish(stored.events)
        yield [(delivery, Ack()) for delivery in batch]

    async def _store_together(self, corpses: Sequence[Corpse]) -> list[Stored]:
        try:
            return [await self._store.store(corpses)]
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(corpses) == 1:
                return [await self._store_stubbornly(corpses[0], error)]
        return [stored for corpse in corpses for stored in await self._store_together([corpse])]

    async def _store_stubbornly(self, corpse: Corpse, error: Exception) -> Stored:
        """Try again for ever. A conflict passes; after anything else less is asked for each time."""
        pause_s = self._durations.store_probe_s
        refusals = 0
        while True:
            logger.error(
                "a dead letter of %s cannot be stored and is tried again: %s: %s",
                corpse.letter.source_queue,
                type(error).__name__,
                error,
                exc_info=None if isinstance(error, StoreError) else error,
                extra=fields(operation=Operation.DEAD_LETTER_STORING, trace_id=corpse.letter.correlation_id),
            )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._durations.store_probe_max_s)
            if not isinstance(error, StoreConflict):
                refusals += 1
                corpse = replace(corpse, letter=simplified(corpse.letter))
            try:
                return await self._store.store([corpse], end_messages=refusals < 2)
            except StoreUnavailable:
                raise
            except Exception as again:
                error = again
