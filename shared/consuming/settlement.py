"""The one place where dispositions are carried out: ack, retry, defer, dead.

Owns the order that loses nothing: copies are confirmed and rows committed before the original is acked.
A copy that is not taken waits for its own delivery alone, which stays in hand meanwhile.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar
from uuid import UUID

from shared.amqp import hops
from shared.amqp.broker import Inlet, Publisher
from shared.amqp.delivery import ATTEMPTS, ERROR, MESSAGE_ID, REASON, SOURCE_QUEUE, Delivery, Publication
from shared.amqp.disposition import Ack, Dead, Defer, Disposition, Retry
from shared.amqp.headers import carried_headers, correlation_of, idempotency_key_of
from shared.amqp.payload_names import payload_name
from shared.amqp.topology import DLX, LANES, RETRY, tier_queue
from shared.consuming.patience import Patience
from shared.durable.deferral import DeferralStore, deferred_id
from shared.durations import Durations
from shared.errors import BrokerError, StoreConflict, StoreDataError, StoreUnavailable, WabusError
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
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

    async def settle(self, inlet: Inlet, settled: Sequence[Settled]) -> list[Settled]:
        """Carry out and acknowledge; gives those whose copies RabbitMQ did not take, for `see_through`.

        Deferred messages are stored first, copies published next, rows of what is handled removed, deliveries
        acknowledged last. Blocks for as long as publishing does; while a row is locked; and where rows are to
        be removed and the store is away, for `hold_when_store_away_s`. Raises StoreUnavailable: from storing
        at once, before anything is published; from removing after that wait, with copies published and
        nothing acknowledged. Either may be repeated with the same deliveries: a tracked message has one row,
        a copy keeps its idempotency key. Copies go out in the order of `settled`.
        """
        final = [(delivery, exhaust(delivery, disposition)) for delivery, disposition in settled]
        kept, refused = await self._defer([item for item in final if isinstance(item[1], Defer)])
        final = [refused.get(id(item[0]), item) for item in final]
        errors = await self._publish(final)
        await self._finish(inlet, [item for item in final if id(item[0]) not in errors], kept)
        return [item for item in final if id(item[0]) in errors]

    async def see_through(self, inlet: Inlet, late: list[Settled]) -> None:
        """Publish copies that were not taken until they are, and acknowledge; who is done leaves `late`.

        Raises BrokerError where they are not taken for as long as they may be kept in hand, StoreUnavailable
        where the store stays away.
        """
        patience = Patience(self._durations)
        while True:
            errors = await self._publish(late)
            await self._finish(inlet, [item for item in late if id(item[0]) not in errors], set())
            late[:] = [item for item in late if id(item[0]) in errors]
            if not late:
                return
            await patience.wait(next(iter(errors.values())))

    async def _finish(self, inlet: Inlet, done: Sequence[Settled], kept: set[UUID]) -> None:
        await self._forget_rows(done, kept)
        await inlet.acknowledge([delivery for delivery, _ in done])
        for delivery, disposition in done:
            self._count(delivery, disposition)

    async def give_back(self, inlet: Inlet, deliveries: Sequence[Delivery]) -> None:
        """Give back unworked. What RabbitMQ has delivered many times already is not left to its limit.

        That goes to a retry tier and loses its place; where that fails, or the store would be needed, it goes
        back all the same.
        """
        logger.warning(
            "%d deliveries of %s are given back for others",
            len(deliveries),
            inlet.queue,
            extra=fields(operation=Operation.CONSUMING),
        )
        limit = self._durations.delivery_limit // 2
        spent = [item for item in deliveries if item.deliveries_before >= limit]
        if spent:
            verdict = Retry("stood_still", "the worker stood still with it", attempts=sys.maxsize)
            with suppress(StoreUnavailable, BrokerError):
                await self.settle(inlet, [(item, verdict) for item in spent])
        await inlet.release(deliveries)

    async def _publish(self, final: Sequence[Settled]) -> dict[int, WabusError]:
        """Publish the copies; gives those (ids of deliveries) that were not taken, each with the reason."""
        copies = {id(item[0]): copy for item in final if (copy := copy_of(*item)) is not None}
        if not copies:
            return {}
        outcomes = await self._publisher.publish(list(copies.values()))
        errors = {key: error for key, error in zip(copies, outcomes, strict=True) if error is not None}
        if errors:
            logger.warning(
                "%d copies for retry tiers or dead letters wait: %s",
                len(errors),
                next(iter(errors.values())),
                extra=fields(operation=Operation.PUBLISHING),
            )
        return errors

    async def _forget_rows(self, done: Sequence[Settled], kept: set[UUID]) -> None:
        """No row for what is handled. A copy of what is deferred again names the row that is kept."""
        rows = (deferred_id(delivery) for delivery, _ in done)
        handled = [row for row in rows if row is not None and row not in kept]
        if handled:
            await self._persist(
                lambda: self._deferrals.remove(handled), self._durations.hold_when_store_away_s
            )

    async def _defer(self, deferred: Sequence[Settled]) -> tuple[set[UUID], dict[int, Settled]]:
        """Ids of the rows, and by delivery what the store refused: that is dead."""
        rows = [
            (delivery, item) for delivery, item in deferred if isinstance(item, Defer) and not item.is_stored
        ]
        if not rows:
            return set(), {}
        with suppress(StoreDataError):
            return await self._persist(lambda: self._deferrals.store(rows), 0.0), {}
        kept: set[UUID] = set()
        refused: dict[int, Settled] = {}
        for delivery, item in rows:
            alone = [(delivery, item)]
            try:
                kept |= await self._persist(partial(self._deferrals.store, alone), 0.0)
            except StoreDataError as error:
                refused[id(delivery)] = (delivery, Dead(DeadReason.DATABASE_ERROR, str(error)))
        return kept, refused

    async def _persist(self, write: Callable[[], Awaitable[T]], hold_s: float) -> T:
        """Write as soon as the store is back, which is waited for so long. Raises StoreError."""
        pause_s = self._durations.store_probe_s
        began = time.monotonic()
        while True:
            try:
                return await write()
            except (StoreUnavailable, StoreConflict) as error:
                if isinstance(error, StoreUnavailable) and time.monotonic() - began >= hold_s:
                    raise
                logger.warning(
                    "what became of deliveries waits to be stored: %s",
                    error,
                    extra=fields(operation=Operation.CONSUMING),
                )
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._durations.store_probe_max_s)

    def _count(self, delivery: Delivery, disposition: Disposition) -> None:
        hops.settle(delivery, disposition)
        match disposition:
            case Ack():
                label = "ack"
            case Retry(reason, error, message_id=message_id):
                label = "retry"
                self._metrics.retries.labels(self._worker, reason).inc()
                told = f"attempt {delivery.attempt} failed and is retried: {error}"
                _warn(delivery, told, reason, message_id)
            case Defer():
                label = "defer"
            case Dead(reason, error, message_id):
                label = "dead"
                _warn(delivery, f"dead as {reason}: {error}", reason, message_id)
        self._metrics.messages_processed.labels(self._worker, label).inc()


def _warn(delivery: Delivery, what: str, code: str, message_id: UUID | None) -> None:
    logger.warning(
        "message of %s %s",
        delivery.queue,
        what,
        extra=fields(
            operation=Operation.CONSUMING,
            trace_id=correlation_of(delivery),
            message_id=message_id,
            lane=LANES.get(delivery.queue),
            attempt=delivery.attempt,
            code=code,
        ),
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
                cause=delivery,
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
                cause=delivery,
            )
        case Ack() | Defer():
            return None
