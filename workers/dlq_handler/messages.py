"""Ending the outbound messages in dead letters: failed, told as failed, or left to be reconciled.

Owns the statements about messages; what is to be done is decided in `workers.dlq_handler.outbound`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from shared.amqp.delivery import Delivery
from shared.deadletters.replay import publishers_headers
from shared.deadletters.storing import DeadLetter, clean_headers, clean_text
from shared.deadletters.untold import keep_untold
from shared.durable.ambiguous import UndecidedSend, reconcile
from shared.durable.deferral import deferred_id, stored_headers
from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.durations import Durations
from shared.messaging.campaigns.recipients import fail_recipients
from shared.messaging.customers.whose import customers_of
from shared.messaging.messages import OwnEvent, Tracker
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import SendError, encode
from shared.postgres.database import Connection
from shared.postgres.queries import Queries
from workers.dlq_handler.outbound import DeadOutbound, DeathConsequence, TrackedMessage, decide, failed_event

logger = get_logger(__name__)
QUERIES = Queries("workers.dlq_handler")

#: Row of its tracked message, by the id of the dead letter.
Rows = Mapping[UUID, asyncpg.Record]


@dataclass(frozen=True, slots=True)
class DeadDelivery:
    """A delivery and the dead letter that it is."""

    delivery: Delivery
    letter: DeadLetter


class MessageEnder:
    """Ends messages in the transaction that stores their dead letters."""

    def __init__(self, outbox: Outbox, tracker: Tracker, durations: Durations) -> None:
        self._outbox = outbox
        self._tracker = tracker
        self._ambiguous_wait = timedelta(seconds=durations.ambiguous_wait_s)

    async def find(self, connection: Connection, dead: Sequence[DeadOutbound]) -> Rows:
        """Find and lock the rows of these messages."""
        if not dead:
            return {}
        found = await connection.fetch(QUERIES["find_messages"], *_wanted(dead))
        await connection.execute(QUERIES["lock_messages"], sorted({row["id"] for row in found}))
        rows = await connection.fetch(QUERIES["read_messages"], [row["id"] for row in found])
        by_id = {row["id"]: row for row in rows}
        return {dead[row["place"]].letter.id: by_id[row["id"]] for row in found if row["id"] in by_id}

    async def end(
        self,
        connection: Connection,
        dead: Sequence[DeadOutbound],
        rows: Rows,
        deaths: Sequence[DeadDelivery],
    ) -> list[OutboxEvent]:
        """End the messages of dead letters; returns the events that are in the outbox now.

        `deaths`: the new ones. Of others an undecided message is left to whoever attempted it.
        """
        deliveries = {death.letter.id: death.delivery for death in deaths}
        failing: dict[UUID, OwnEvent] = {}
        untracked = []
        waiting = []
        for item in dead:
            row = rows.get(item.letter.id)
            match decide(item, None if row is None else _tracked(row)):
                case DeathConsequence.LEAVE:
                    continue
                case DeathConsequence.TELL:
                    untracked.append(item)
                case DeathConsequence.FAIL:
                    assert row is not None
                    failing[row["id"]] = _own_event(item.letter, row["id"])
                case DeathConsequence.WAIT:
                    waiting.append(item.letter.id)
                case DeathConsequence.RECONCILE:
                    assert row is not None
                    if (delivery := deliveries.get(item.letter.id)) is not None:
                        await self._reconcile(connection, item.letter, delivery, row)
        replayed = [item.letter.replay_of for item in dead if item.letter.replay_of is not None]
        await keep_untold(connection, waiting, replayed)
        for message_id in await _going_back(connection, list(failing)):
            del failing[message_id]  # it has not failed yet, and whoever ends that one tells it
        recorded = await self._tracker.record_own(connection, list(failing.values())) if failing else None
        return [*(recorded.events if recorded else ()), *await self._tell(connection, untracked)]

    async def _tell(self, connection: Connection, dead: Sequence[DeadOutbound]) -> list[OutboxEvent]:
        """What died before it became a row has failed, and so has its campaign's recipient."""
        recipients = [
            (item.ids["campaign_id"], item.ids["wa_id"], item.letter.reason.value)
            for item in dead
            if {"campaign_id", "wa_id"} <= item.ids.keys()
        ]
        await fail_recipients(connection, sorted(recipients))
        addresses = [_address(item) for item in dead]
        customers = await customers_of(connection, [item for item in addresses if item is not None])
        events = [
            _event(item, None if address is None else customers[address])
            for item, address in zip(dead, addresses, strict=True)
        ]
        await self._outbox.record(connection, events)
        return events

    async def _reconcile(
        self, connection: Connection, letter: DeadLetter, delivery: Delivery, row: asyncpg.Record
    ) -> None:
        logger.warning(
            "message %s died while an attempt of it is open: left to be reconciled",
            row["id"],
            extra=fields(operation=Operation.SEND_RECONCILIATION, trace_id=letter.correlation_id),
        )
        original = replace(
            delivery,
            queue=letter.source_queue,
            exchange=letter.exchange,
            routing_key=letter.routing_key,
            headers=publishers_headers(delivery.headers),
        )
        undecided = UndecidedSend(
            queue=letter.source_queue,
            exchange=letter.exchange,
            routing_key=letter.routing_key,
            body=letter.raw_body,
            headers=clean_headers(stored_headers(original)),
            message_id=row["id"],
            phone_number_id=row["phone_number_id"],
            customer=row["customer"],
            lane=row["lane"],
            deferred_as=deferred_id(delivery),
        )
        await reconcile(connection, undecided, self._ambiguous_wait)


async def _going_back(connection: Connection, message_ids: Sequence[UUID]) -> list[UUID]:
    """Of these messages those that another dead letter may still send."""
    if not message_ids:
        return []
    return [row["message_id"] for row in await connection.fetch(QUERIES["find_going_back"], message_ids)]


def _wanted(dead: Sequence[DeadOutbound]) -> tuple[list[Any], ...]:
    return (
        list(range(len(dead))),
        [item.letter.message_id for item in dead],
        [item.letter.replay_of is not None for item in dead],
        [item.ids.get("genesys_message_id") for item in dead],
        [item.ids.get("client_message_id") for item in dead],
    )


def _tracked(row: asyncpg.Record) -> TrackedMessage:
    return TrackedMessage(row["id"], row["status"], row["content_hash"], row["undecided"])


def _own_event(letter: DeadLetter, message_id: UUID) -> OwnEvent:
    error = SendError(code=letter.reason.value, message=clean_text(letter.error_message) or None)
    return OwnEvent(message_id, "failed", trace_id=letter.correlation_id, error=error)


def _address(dead: DeadOutbound) -> str | None:
    """What a valid body calls its customer."""
    return None if dead.content_hash is None else dead.ids.get("wa_id")


def _event(dead: DeadOutbound, customer: str | None) -> OutboxEvent:
    told = failed_event(dead, customer)
    return event(
        told.event_type,
        encode(told),
        aggregate=("dead_letter", dead.letter.id),
        correlation_id=dead.letter.correlation_id,
    )
