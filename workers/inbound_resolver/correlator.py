"""The correlator: what the agent platform calls a conversation, and that it was closed.

Owns the queue `inbound-resolver.correlation`, both of its routing keys.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import asyncpg

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead, Disposition, Retry
from shared.amqp.headers import correlation_of
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.coordination.keys import conversation_key, customer_key, mapping_lock_key
from shared.coordination.locks import LockManager
from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.errors import StoreConflict
from shared.messaging.conversations.cache import CachedMapping, MappingCache
from shared.messaging.conversations.correlation import Correlation, CurrentConversation, decide_correlation
from shared.messaging.conversations.mappings import (
    close_mapping,
    confirm_correlation,
    correlate,
    keep_alias,
)
from shared.messaging.messages.inbound import name_message
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import (
    ConversationClosed,
    ConversationClosedEvent,
    ConversationCorrelated,
    ConversationCorrelation,
    Event,
    InvalidPayload,
    decode,
    encode,
)
from shared.payloads.clock import CLOCK
from shared.postgres.database import Connection, Database
from shared.reasons import DeadReason
from workers.inbound_resolver.store import QUERIES

logger = get_logger(__name__)
CLOSED_KEY = "genesys.closed"
#: Conversations worked at once: a commit and a confirm are mostly waiting.
_AT_ONCE: Final = 8

_Message: TypeAlias = ConversationCorrelation | ConversationClosed
_Read: TypeAlias = tuple[Delivery, _Message]


class Correlator(Handler):
    """Handles correlations and closings, each in its own transaction, those of one mapping in their order."""

    def __init__(self, database: Database, outbox: Outbox, locks: LockManager, cache: MappingCache) -> None:
        self._database = database
        self._outbox = outbox
        self._locks = locks
        self._cache = cache

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Handle a batch; see `shared.consuming.consumer.Handler`."""
        read: list[_Read] = []
        for delivery in batch:
            try:
                read.append((delivery, _read(delivery)))
            except InvalidPayload as error:
                yield [(delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error)))]
        slots = asyncio.Semaphore(_AT_ONCE)
        chains = [self._work(chain, slots) for chain in await self._chains(read)]
        worked = await asyncio.gather(*chains, return_exceptions=True)
        yield [settled for done in worked if isinstance(done, list) for settled in done]
        for failed in worked:
            if isinstance(failed, BaseException):
                raise failed

    async def _chains(self, read: Sequence[_Read]) -> Iterable[Sequence[_Read]]:
        """What belongs to one mapping, in its order; what belongs to none yet stands alone."""
        if len(read) < 2:
            return [read]
        correlations = [item for _, item in read if isinstance(item, ConversationCorrelation)]
        rows = await self._database.fetch(
            QUERIES["find_mappings"],
            [item.whatsapp_message_id for item in correlations],
            [item.conversation_id for _, item in read if isinstance(item, ConversationClosed)],
        )
        found = {(row["kind"], row["reference"]): row["mapping_id"] for row in rows}
        for item in correlations:
            mapping = found.get(("message", item.whatsapp_message_id), item.whatsapp_message_id)
            found["conversation", item.conversation_id] = mapping
        chains: dict[object, list[_Read]] = {}
        for delivery, message in read:
            chains.setdefault(_mapping_of(message, found), []).append((delivery, message))
        return chains.values()

    async def _work(self, chain: Sequence[_Read], slots: asyncio.Semaphore) -> list[Settled]:
        async with slots:
            return [(delivery, await self._handle_one(delivery, message)) for delivery, message in chain]

    async def _handle_one(self, delivery: Delivery, message: _Message) -> Disposition:
        trace_id = correlation_of(delivery)
        match message:
            case ConversationClosed():
                return await self._close(trace_id, message)
            case ConversationCorrelation():
                return await self._correlate(trace_id, message)

    async def _correlate(self, trace_id: str, correlation: ConversationCorrelation) -> Disposition:
        found = await self._database.fetchrow(
            QUERIES["find_mapping_of_message"], correlation.whatsapp_message_id
        )
        if found is None:
            return _not_found(f"no message {correlation.whatsapp_message_id} was received")
        key = mapping_lock_key(found["phone_number_id"], found["wa_id"])
        async with aclosing(self._locks.rounds([key])) as rounds:
            async for _ in rounds:
                return await self._correlate_locked(trace_id, correlation)
        raise AssertionError("a lock round always comes")

    async def _correlate_locked(self, trace_id: str, correlation: ConversationCorrelation) -> Disposition:
        wamid = correlation.whatsapp_message_id
        async with self._database.transaction() as connection:
            mapping = await connection.fetchrow(
                QUERIES["lock_mapping_of_message"], wamid, correlation.conversation_id
            )
            if mapping is None:
                return _not_found(f"no message {wamid} was received")
            if mapping["is_joined"]:
                raise StoreConflict("the conversation of this message was joined with another meanwhile")
            standing = CurrentConversation(mapping["conversation_id"], mapping["conversation_seq"])
            decision = decide_correlation(
                standing,
                correlation.conversation_id,
                mapping["seq"],
                is_alias=mapping["is_alias"],
                has_joined=mapping["has_joined"],
            )
            if correlation.genesys_message_id is not None:
                await name_message(connection, wamid, correlation.genesys_message_id)
            events: list[OutboxEvent]
            match decision:
                case Correlation.CONTRADICTION:
                    return Dead(
                        DeadReason.STATE_VIOLATION,
                        "another conversation already came with this message or a later one",
                    )
                case Correlation.KNOWN:
                    return Ack()
                case Correlation.ALIAS:
                    # Told as it would have been before the join: somebody waits for it.
                    await keep_alias(connection, mapping["id"], correlation.conversation_id)
                    events = [_correlated(trace_id, mapping, correlation, replaced=None)]
                    await self._outbox.record(connection, events)
                case Correlation.SAME:
                    await confirm_correlation(connection, mapping["id"], mapping["seq"])
                    events = []
                case Correlation.SET | Correlation.REPLACE:
                    events = [await self._set(connection, trace_id, correlation, mapping)]
                    await self._outbox.record(connection, events)
        if decision is not Correlation.ALIAS:
            await self._remember(correlation, mapping)
        await self._outbox.publish(events)
        return Ack()

    async def _set(
        self,
        connection: Connection,
        trace_id: str,
        correlation: ConversationCorrelation,
        mapping: asyncpg.Record,
    ) -> OutboxEvent:
        replaced = mapping["conversation_id"]
        await correlate(
            connection,
            mapping["id"],
            correlation.conversation_id,
            correlation.communication_id,
            mapping["seq"],
            replaced=replaced,
        )
        return _correlated(trace_id, mapping, correlation, replaced=replaced)

    async def _remember(self, correlation: ConversationCorrelation, mapping: asyncpg.Record) -> None:
        if mapping["status"] == "active":
            cached = CachedMapping(
                mapping["id"], mapping["wa_id"], mapping["phone_number_id"], correlation.conversation_id
            )
            await self._cache.set_many([cached])

    async def _close(self, trace_id: str, closing: ConversationClosed) -> Disposition:
        """Close the mapping whose conversation this is now; an alias was left by its customer already."""
        found = await self._database.fetch(QUERIES["find_conversation"], closing.conversation_id)
        if not found:
            return _not_found(f"no conversation {closing.conversation_id}")
        for mapping in found:
            if mapping["status"] == "active" and mapping["conversation_id"] == closing.conversation_id:
                await self._close_mapping(trace_id, mapping)
        return Ack()

    async def _close_mapping(self, trace_id: str, mapping: asyncpg.Record) -> None:
        conversation_id = mapping["conversation_id"]
        async with self._database.transaction() as connection:
            if not await close_mapping(connection, mapping["id"], conversation_id):
                return
            closed = ConversationClosedEvent(**_about(trace_id, mapping, conversation_id))
            events = [_event(trace_id, mapping, closed)]
            await self._outbox.record(connection, events)
        await self._cache.remove_many(
            [
                customer_key(mapping["phone_number_id"], mapping["wa_id"]),
                conversation_key(conversation_id),
            ]
        )
        await self._outbox.publish(events)
        logger.info(
            "conversation closed",
            extra=fields(
                operation=Operation.CONVERSATION_CLOSING,
                trace_id=trace_id,
                wa_id=mapping["wa_id"],
                mapping_id=mapping["id"],
                conversation_id=conversation_id,
            ),
        )


def _read(delivery: Delivery) -> _Message:
    if delivery.origin_routing_key == CLOSED_KEY:
        return decode(ConversationClosed, delivery.body)
    return decode(ConversationCorrelation, delivery.body)


def _mapping_of(message: _Message, found: Mapping[tuple[str, str], object]) -> object:
    match message:
        case ConversationClosed():
            kind, reference = "conversation", message.conversation_id
        case ConversationCorrelation():
            kind, reference = "message", message.whatsapp_message_id
    return found.get((kind, reference), reference)


def _not_found(error: str) -> Retry:
    return Retry("mapping_not_found", error, exhausted=DeadReason.MAPPING_NOT_FOUND)


def _about(trace_id: str, mapping: asyncpg.Record, conversation_id: str) -> dict[str, Any]:
    return {
        "mapping_id": mapping["id"],
        "conversation_id": conversation_id,
        "wa_id": mapping["wa_id"],
        "phone_number_id": mapping["phone_number_id"],
        "timestamp": CLOCK.now(),
        "trace_id": trace_id,
    }


def _correlated(
    trace_id: str, mapping: asyncpg.Record, correlation: ConversationCorrelation, *, replaced: str | None
) -> OutboxEvent:
    told = ConversationCorrelated(
        **_about(trace_id, mapping, correlation.conversation_id),
        communication_id=correlation.communication_id,
        whatsapp_message_id=correlation.whatsapp_message_id,
        replaced_conversation_id=replaced,
    )
    return _event(trace_id, mapping, told)


def _event(trace_id: str, mapping: asyncpg.Record, told: Event) -> OutboxEvent:
    return event(
        told.event_type,
        encode(told),
        aggregate=("conversation_mapping", mapping["id"]),
        correlation_id=trace_id,
    )
