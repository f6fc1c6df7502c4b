"""The handler of the queue `dlq-handler`: every dead letter is stored before it is acknowledged.

A dead letter has nowhere else to go. For a store that is away, and for a locked row, the consumer waits,
however long. Whatever else goes wrong is tried again here, each dead letter by itself, then in a simpler
form, and at last without ending its message.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from uuid import uuid4

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack
from shared.amqp.hops import tie
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.deadletters.storing import tell_stored
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.errors import StoreConflict, StoreError, StoreUnavailable
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from workers.dlq_handler.letters import read_letter, simplified
from workers.dlq_handler.messages import DeadDelivery
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
        """Store and acknowledge; see `shared.consuming.handling.Handler`.

        Raises StoreUnavailable and StoreConflict only: whose row is locked waits for it alone.
        """
        parts = [[self._read(delivery) for delivery in batch]]
        refused: list[tuple[DeadDelivery, Exception]] = []
        for part in parts:  # which grows: a part that fails comes again, one by one
            try:
                settled = await self._tell(part, await self._store.store(part))
            except (StoreUnavailable, StoreConflict):
                raise
            except Exception as error:
                if len(part) == 1:
                    refused.append((part[0], error))
                else:
                    parts += [[death] for death in part]
            else:
                yield settled
        for death, why in refused:
            yield await self._tell([death], await self._store_stubbornly(death, why))

    def _read(self, delivery: Delivery) -> DeadDelivery:
        death = DeadDelivery(delivery, read_letter(delivery, self._reader))
        tie(delivery, death.letter.id)
        if death.letter.message_id is not None:
            tie(delivery, death.letter.message_id)
        return death

    async def _tell(self, deaths: Sequence[DeadDelivery], stored: Stored) -> Sequence[Settled]:
        for letter in stored.letters:
            self._metrics.dlq_messages.labels(letter.reason.value).inc()
        tell_stored(stored.letters, logging.INFO)
        await self._outbox.publish(stored.events)
        return [(death.delivery, Ack()) for death in deaths]

    async def _store_stubbornly(self, death: DeadDelivery, error: Exception) -> Stored:
        """Try again for ever; less is asked for each time."""
        pause_s = self._durations.store_probe_s
        refusals = 0
        while True:
            logger.error(
                "a dead letter of %s cannot be stored and is tried again: %s: %s",
                death.letter.source_queue,
                type(error).__name__,
                error,
                exc_info=None if isinstance(error, StoreError) else error,
                extra=fields(operation=Operation.DEAD_LETTER_STORING, trace_id=death.letter.correlation_id),
            )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._durations.store_probe_max_s)
            refusals += 1
            death = replace(death, letter=simplified(death.letter))
            try:
                return await self._store.store([death], end_messages=refusals < 2)
            except (StoreUnavailable, StoreConflict):
                raise
            except Exception as again:
                error = again
