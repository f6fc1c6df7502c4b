"""The inbound resolver: to whom a customer's message belongs, told once.

Owns the order of its steps: lock the customers, track in the database, publish `inbound.enriched` with a
confirm, mark it published; only then is a delivery done.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager

from shared.amqp.broker import Publisher
from shared.amqp.delivery import Delivery, Publication
from shared.amqp.disposition import Ack, Retry
from shared.amqp.headers import trace_headers
from shared.amqp.topology import ENRICHED, EVENTS
from shared.consuming.handling import Handler
from shared.consuming.patience import Patience
from shared.consuming.settlement import Settled
from shared.coordination.keys import mapping_lock_key
from shared.coordination.locks import LockManager
from shared.durations import Durations
from shared.errors import StoreError
from shared.messaging.conversations.cache import CachedMapping, MappingCache
from shared.messaging.customers.words import ConsentWords
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics, count_repairs
from shared.payloads import EnrichedInboundMessage, encode
from shared.tasks import end_tasks
from workers.inbound_resolver.intake import Inbound, take_in
from workers.inbound_resolver.store import MessageStore, Resolved

logger = get_logger(__name__)
#: First and longest pause between two looks at a message that another replica is publishing.
_LOOK_S = 0.05
_LOOK_MAX_S = 0.4


class InboundResolver(Handler):
    """Handles the queue `inbound-resolver`."""

    def __init__(
        self,
        store: MessageStore,
        publisher: Publisher,
        locks: LockManager,
        cache: MappingCache,
        metrics: Metrics,
        durations: Durations,
        *,
        words: ConsentWords,
        allowed_hosts: tuple[str, ...],
        enriched_queue: bool,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._locks = locks
        self._cache = cache
        self._metrics = metrics
        self._durations = durations
        self._words = words
        self._allowed_hosts = allowed_hosts
        self._enriched_queue = enriched_queue
        #: Wamids at work in this process, from the look to the mark: a claim tells processes apart only.
        self._in_hand: set[str] = set()

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Resolve a batch; see `shared.consuming.consumer.Handler`."""
        intake = take_in(batch, self._allowed_hosts, self._words)
        count_repairs(self._metrics, "inbound-resolver", intake.characters_replaced, intake.fields_dropped)
        if intake.dead:
            yield intake.dead
        by_key: dict[str, list[Inbound]] = {}
        for inbound in intake.messages:
            by_key.setdefault(self._lock_key(inbound), []).append(inbound)
        if not by_key:
            return
        async with aclosing(self._locks.rounds(tuple(by_key))) as rounds:
            async for lock_round in rounds:
                ready = [inbound for key in by_key if key in lock_round.keys for inbound in by_key[key]]
                async for settled in self._resolve(ready):
                    yield settled

    async def _resolve(self, ready: Sequence[Inbound]) -> AsyncIterator[Sequence[Settled]]:
        with self._taking(ready) as ours:
            elsewhere = {inbound.message.wamid for inbound in await self._resolve_ours(ours)}
            done = {inbound.message.wamid for inbound in ours} - elsewhere
        yield _acknowledge([inbound for inbound in ready if inbound.message.wamid in done])
        if others := [inbound for inbound in ready if inbound.message.wamid not in done]:
            yield await self._wait_for_others(others)

    @contextmanager
    def _taking(self, inbounds: Sequence[Inbound]) -> Iterator[Sequence[Inbound]]:
        """Those of them that no other handling of this process has in hand: this one has, until the end."""
        ours = [inbound for inbound in inbounds if inbound.message.wamid not in self._in_hand]
        taken = {inbound.message.wamid for inbound in ours}
        self._in_hand |= taken
        try:
            yield ours
        finally:
            self._in_hand -= taken

    async def _resolve_ours(self, ready: Sequence[Inbound]) -> list[Inbound]:
        """Resolve and publish; gives those that another replica is publishing."""
        if not ready:
            return []
        started = time.perf_counter()
        resolved = await self._store.resolve(ready)
        elapsed_s = time.perf_counter() - started
        self._metrics.mapping_resolution_duration.labels("inbound", "false").observe(elapsed_s)
        mended = {item.message.wamid: item.mending for item in ready if item.mending is not None}
        if mended:
            await self._store.keep_mended(mended)
        await self._remember(ready, resolved)
        ours = [inbound for inbound in ready if resolved[inbound.message.wamid].claimed]
        await self._publish(ours, resolved)
        self._report(ready, resolved, elapsed_s)
        return [inbound for inbound in ready if _is_elsewhere(resolved[inbound.message.wamid])]

    async def _publish(self, ours: Sequence[Inbound], resolved: dict[str, Resolved]) -> None:
        """Publish until all are confirmed. Raises BrokerError where that takes too long."""
        left = {inbound.message.wamid: self._publication(inbound, resolved) for inbound in ours}
        if left:
            async with self._keeping_claims(left):
                await self._publish_all(left)

    async def _publish_all(self, left: dict[str, Publication]) -> None:
        """Publish and mark; what is done leaves `left`."""
        patience = Patience(self._durations)
        while left:
            outcomes = await self._publisher.publish(list(left.values()))
            errors = {wamid: error for wamid, error in zip(left, outcomes, strict=True) if error is not None}
            done = [wamid for wamid in left if wamid not in errors]
            await self._store.mark_published(done)
            for wamid in done:
                del left[wamid]
            if not left:
                break
            logger.warning(
                "%d resolved messages wait to be published: %s",
                len(left),
                next(iter(errors.values())),
                extra=fields(operation=Operation.PUBLISHING),
            )
            await patience.wait(next(iter(errors.values())))

    @asynccontextmanager
    async def _keeping_claims(self, wamids: Collection[str]) -> AsyncIterator[None]:
        """Extend the claims of `wamids` while we publish them: one that runs out means that we died."""

        async def extend() -> None:
            while True:
                await asyncio.sleep(self._durations.publish_claim_s / 3)
                try:
                    await self._store.extend_claims(list(wamids))
                except StoreError as error:
                    logger.debug("claims of publications are not extended: %s", error)

        extending = asyncio.create_task(extend(), name="extend claims")
        try:
            yield
        finally:
            await end_tasks((extending,))

    def _publication(self, inbound: Inbound, resolved: dict[str, Resolved]) -> Publication:
        message = inbound.message
        found = resolved[message.wamid]
        enriched = EnrichedInboundMessage.of(
            message,
            phone_number_id=self._store.number_of(message),
            customer=found.customer,
            consent=None if inbound.consent is None else inbound.consent.value,
            mapping_id=found.mapping_id,
            conversation_id=found.conversation_id,
            is_new_conversation=found.is_new_conversation,
            trace_id=inbound.trace_id,
        )
        return Publication(
            exchange=EVENTS,
            routing_key=ENRICHED,
            body=encode(enriched),
            type=EnrichedInboundMessage.__name__,
            idempotency_key=message.wamid,
            correlation_id=inbound.trace_id,
            mandatory=self._enriched_queue,
            headers=trace_headers(inbound.deliveries[0]),
            cause=inbound.deliveries[0],
        )

    async def _wait_for_others(self, others: Sequence[Inbound]) -> Sequence[Settled]:
        """Published elsewhere: done once they are, ours if whoever publishes has died, else retried."""
        left = list(others)
        done: list[Inbound] = []
        for pause_s in look_pauses_s(self._durations.publish_claim_s):
            await asyncio.sleep(pause_s)
            with self._taking(left) as ours:
                if not ours:
                    continue
                resolved = await self._store.resolve(ours)
                await self._publish([item for item in ours if resolved[item.message.wamid].claimed], resolved)
            over = {item.message.wamid for item in ours if not _is_elsewhere(resolved[item.message.wamid])}
            done += [item for item in left if item.message.wamid in over]
            left = [item for item in left if item.message.wamid not in over]
            if not left:
                break
        verdict = Retry(
            "publication_pending", "another replica is publishing this message", attempts=sys.maxsize
        )
        return [
            *_acknowledge(done),
            *((delivery, verdict) for inbound in left for delivery in inbound.deliveries),
        ]

    async def _remember(self, ready: Sequence[Inbound], resolved: dict[str, Resolved]) -> None:
        """Write the cache through, after the commit; a known message's mapping may have ended."""
        fresh = {
            self._lock_key(inbound): self._cached(inbound, resolved[inbound.message.wamid])
            for inbound in ready
            if not resolved[inbound.message.wamid].known
        }
        await self._cache.set_many(fresh.values())

    def _cached(self, inbound: Inbound, found: Resolved) -> CachedMapping:
        number = self._store.number_of(inbound.message)
        return CachedMapping(found.mapping_id, inbound.address, number, found.conversation_id)

    def _lock_key(self, inbound: Inbound) -> str:
        return mapping_lock_key(self._store.number_of(inbound.message), inbound.notation)

    def _report(self, ready: Sequence[Inbound], resolved: dict[str, Resolved], elapsed_s: float) -> None:
        duplicates = 0
        for inbound in ready:
            found = resolved[inbound.message.wamid]
            duplicates += len(inbound.deliveries) - 1 + found.published
            if found.opened:
                self._metrics.conversations_created.inc()
                logger.info(
                    "conversation opened",
                    extra=fields(
                        operation=Operation.INBOUND_IDENTITY_RESOLUTION,
                        trace_id=inbound.trace_id,
                        wa_id=inbound.message.wa_id,
                        wamid=inbound.message.wamid,
                        mapping_id=found.mapping_id,
                        conversation_id=found.conversation_id,
                        cache_hit=False,
                        is_new_conversation=True,
                        duration_ms=elapsed_s * 1000,
                    ),
                )
        if duplicates:
            self._metrics.duplicate_messages.labels("inbound-resolver").inc(duplicates)


def look_pauses_s(lease_s: float) -> Iterator[float]:
    """Pauses between looks until a claim that nobody extends has run out."""
    waited_s, pause_s = 0.0, _LOOK_S
    while waited_s <= lease_s:
        yield pause_s
        waited_s += pause_s
        pause_s = min(pause_s * 2, _LOOK_MAX_S)


def _is_elsewhere(found: Resolved) -> bool:
    return not found.published and not found.claimed


def _acknowledge(done: Sequence[Inbound]) -> list[Settled]:
    return [(delivery, Ack()) for inbound in done for delivery in inbound.deliveries]
