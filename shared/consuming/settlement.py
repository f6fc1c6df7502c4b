"""The one place where dispositions are carried out: ack, retry, defer, dead.

Owns the order that loses nothing: copies are confirmed and rows committed before the original is acked.
While the broker or the store is away it tries again, with the deliveries in hand.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from shared.amqp.delivery import (
    ATTEMPTS,
    ERROR,
    MESSAGE_ID,
    REASON,
    SOURCE_QUEUE,
    Delivery,
    Inlet,
    Publication,
    Publisher,
)
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import DLX, RETRY, tier_queue
from shared.consuming.disposition import Ack, Dead, Defer, Disposition, Retry
from shared.consuming.headers import carried_headers, correlation_of, idempotency_key_of
from shared.durations import Durations
from shared.errors import StoreConflict, StoreDataError, StoreUnavailable
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.deferral import DeferralStore, deferred_id
from shared.reasons import DeadReason

logger = get_logger(__name__)

Settled = tuple[Delivery, Disposition]
T = TypeVar("T")


class Settlement:
    """Carries out the dispositions of one worker's deliveries."""

    def __init__(
        self,
        worker: str,
        publisher: Publisher,
        deferrals: DeferralStore,
        metrics: Metrics,
        durations: Durations,
    ) -> None:
        self._worker = worker
        self._publisher = publisher
        self._deferrals = deferrals
        self._metrics = metrics
        self._durations = durations

    async def settle(self, inlet: Inlet, settled: Sequence[Settled]) -> None:
        """Carry out and acknowledge; returns when all of it is done."""
        final = [(delivery, exhaust(delivery, disposition)) for delivery, disposition in settled]
        await self._publish([copy for item in final if (copy := copy_of(*item)) is not None])
        final = await self._store(final)
        await inlet.acknowledge([delivery for delivery, _ in final])
        for delivery, disposition in final:
            self._count(delivery, disposition)

    async def _publish(self, copies: list[Publication]) -> None:
        pause_s = self._durations.reconnect_s
        while copies:
            outcomes = await self._publisher.publish(copies)
            failed = [
                (copy, error) for copy, error in zip(copies, outcomes, strict=True) if error is not None
            ]
            copies = [copy for copy, _ in failed]
            if failed:
                logger.warning(
                    "%d copies for retry tiers or dead letters wait: %s",
                    len(failed),
                    failed[0][1],
                    extra=fields(operation=Operation.PUBLISHING),
                )
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._durations.store_probe_max_s)

    async def _store(self, final: Sequence[Settled]) -> list[Settled]:
        """A row for what is deferred, none for what is handled; what cannot be deferred is dead.

        A copy of what is deferred again names the row that is kept.
        """
        kept, refused = await self._defer([item for item in final if isinstance(item[1], Defer)])
        await self._publish([copy for item in refused.values() if (copy := copy_of(*item)) is not None])
        rows = (deferred_id(delivery) for delivery, _ in final)
        handled = [row for row in rows if row is not None and row not in kept]
        if handled:
            await self._persist(lambda: self._deferrals.remove(handled))
        return [refused.get(id(item[0]), item) for item in final]

    async def _defer(self, deferred: Sequence[Settled]) -> tuple[set[UUID], dict[int, Settled]]:
        """Ids of the rows, and by delivery what the store refused."""
        rows = [(delivery, item) for delivery, item in deferred if isinstance(item, Defer)]
        if not rows:
            return set(), {}
        with suppress(StoreDataError):
            return await self._persist(lambda: self._deferrals.store(rows)), {}
        kept: set[UUID] = set()
        refused: dict[int, Settled] = {}
        for delivery, item in rows:
            alone = [(delivery, item)]
            try:
                kept |= await self._persist(partial(self._deferrals.store, alone))
            except StoreDataError as error:
                refused[id(delivery)] = (delivery, Dead(DeadReason.DATABASE_ERROR, str(error)))
        return kept, refused

    async def _persist(self, write: Callable[[], Awaitable[T]]) -> T:
        """Write as soon as the store is back. Raises StoreDataError."""
        pause_s = self._durations.store_probe_s
        while True:
            try:
                return await write()
            except (StoreUnavailable, StoreConflict) as error:
                logger.warning(
                    "what became of deliveries waits to be stored: %s",
                    error,
                    extra=fields(operation=Operation.CONSUMING),
                )
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._durations.store_probe_max_s)

    def _count(self, delivery: Delivery, disposition: Disposition) -> None:
        match disposition:
            case Ack():
                label = "ack"
            case Retry(reason, error):
                label = "retry"
                self._metrics.retries.labels(self._worker, reason).inc()
                self._warn(delivery, f"attempt {delivery.attempt} failed and is retried: {error}")
            case Defer():
                label = "defer"
            case Dead(reason, error):
                label = "dead"
                self._warn(delivery, f"dead as {reason}: {error}")
        self._metrics.messages_processed.labels(self._worker, label).inc()

    def _warn(self, delivery: Delivery, what: str) -> None:
        logger.warning(
            "message of %s %s",
            delivery.queue,
            what,
            extra=fields(operation=Operation.CONSUMING, trace_id=correlation_of(delivery)),
        )


def exhaust(delivery: Delivery, disposition: Disposition) -> Disposition:
    """A retry that was the last one is dead, by the reason it names."""
    if isinstance(disposition, Retry) and delivery.attempt > disposition.attempts:
        return Dead(disposition.exhausted, disposition.error, disposition.message_id)
    return disposition


def copy_of(delivery: Delivery, disposition: Disposition) -> Publication | None:
    """What a disposition publishes: a copy to a delay tier or to the dead letters, byte for byte."""
    match disposition:
        case Retry():
            return Publication(
                exchange=RETRY,
                routing_key=tier_queue(delivery.queue, delivery.attempt),
                body=delivery.body,
                type=payload_name(delivery.queue, delivery.origin_routing_key),
                idempotency_key=idempotency_key_of(delivery),
                correlation_id=correlation_of(delivery),
                mandatory=True,
                attempt=delivery.attempt + 1,
                headers=carried_headers(delivery),
            )
        case Dead(reason, error, message_id):
            headers = {
                **carried_headers(delivery),
                REASON: reason.value,
                ERROR: error[:500],
                ATTEMPTS: delivery.attempt,
                SOURCE_QUEUE: delivery.queue,
            }
            if message_id is not None:
                headers[MESSAGE_ID] = str(message_id)
            return Publication(
                exchange=DLX,
                routing_key=delivery.queue,
                body=delivery.body,
                type=payload_name(delivery.queue, delivery.origin_routing_key),
                idempotency_key=idempotency_key_of(delivery),
                correlation_id=correlation_of(delivery),
                mandatory=True,
                attempt=delivery.attempt,
                headers=headers,
            )
        case Ack() | Defer():
            return None
