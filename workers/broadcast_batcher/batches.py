"""Batches: some recipients of a due campaign are queued for the sender, or skipped with a reason.

Owns the transaction of a batch and what it publishes. Nothing is lost with a replica that dies: before the
commit nothing has happened, after it the messages are in the outbox.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg
from pydantic import ValidationError

from shared.amqp.topology import OUTBOUND
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox, OutboxEvent
from shared.durations import Durations
from shared.ids import time_ordered_uuid
from shared.messaging.campaigns.clock import JOB, record_finished
from shared.messaging.campaigns.events import CampaignChange, campaign_updated
from shared.messaging.campaigns.messages import (
    DEFAULT_CATEGORY,
    Content,
    Reachability,
    SkipReason,
    once,
    prepare,
)
from shared.messaging.campaigns.recipients import (
    queue_recipients,
    read_reachability,
    read_variables,
    skip_recipients,
)
from shared.messaging.campaigns.store import begin_batch
from shared.messaging.customers.consent import count_changes, record_consent_events
from shared.messaging.customers.consent_rules import RecordedConsents
from shared.messaging.customers.suppressions import Suppressions
from shared.messaging.numbers.ahead import allowance
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.observability.tracing import read_trace
from shared.payloads import OutboundMessage, Template, encode
from shared.postgres.database import Connection, Database
from workers.broadcast_batcher.store import QUERIES

logger = get_logger(__name__)
_BULK_LANE = "bulk"


@dataclass(slots=True)
class Batch:
    """What becomes of the claimed recipients, by the ids of their rows; and who those with a message are.

    `restored`: refusals of people who were erased since.
    """

    messages: dict[int, OutboundMessage] = field(default_factory=dict)
    customers: dict[int, str] = field(default_factory=dict)
    skipped: dict[int, SkipReason] = field(default_factory=dict)
    restored: RecordedConsents = field(default_factory=RecordedConsents)


class Batches:
    """Makes the next batch of a campaign. `mps_of`: messages a second allowed for a business number."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        metrics: Metrics,
        suppressions: Suppressions,
        durations: Durations,
        *,
        mps_of: Callable[[str], float],
        default_number: str,
    ) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._outbox = outbox
        self._metrics = metrics
        self._suppressions = suppressions
        self._durations = durations
        self._mps_of = mps_of
        self._default_number = default_number

    async def make_next(self, campaign_id: str) -> None:
        """Queue the next batch if it is due and the number's rate allows; else do nothing.

        A campaign that cannot be read is set aside: it is not due for a while.
        """
        try:
            await self._make_next(campaign_id)
        except ValidationError as error:
            await self._aside.put(JOB, campaign_id, f"{error.title} cannot be read from its row")

    async def _make_next(self, campaign_id: str) -> None:
        async with self._database.transaction() as connection:
            due = await connection.fetchrow(QUERIES["lock_due"], campaign_id)
            if due is None:
                return
            content = self._content(due)
            allowed = await self._allowed(connection, content.phone_number_id)
            if not allowed:
                return  # and it stays the longest due of its number: its turn comes
            events = await self._begin(connection, due)
            limit = min(due["batch_size"], allowed)
            batch = await self._claim(connection, content, limit, _trace_of(due))
            messages = [_outbound(message, due) for message in batch.messages.values()]
            await self._outbox.record(connection, [*messages, *batch.restored.events])
            if len(batch.messages) + len(batch.skipped) < limit:
                events += await record_finished(connection, self._outbox, [campaign_id])
        count_changes(self._metrics, batch.restored.changes)
        await self._outbox.publish([*events, *messages, *batch.restored.events])
        self._report(due, batch)

    def _content(self, due: asyncpg.Record) -> Content:
        template = due["template"]
        return Content(
            campaign_id=due["id"],
            phone_number_id=due["phone_number_id"] or self._default_number,
            template=None if template is None else Template.model_validate_json(template),
            message_text=due["message_text"],
            category=due["category"] or DEFAULT_CATEGORY,
            on_ambiguous=due["on_ambiguous"],
        )

    async def _allowed(self, connection: Connection, number: str) -> int:
        await connection.execute(QUERIES["lock_number"], number)
        queued: int = await connection.fetchval(QUERIES["count_queued"], number, self._default_number)
        return allowance(self._mps_of(number), queued, self._durations)

    async def _begin(self, connection: Connection, due: asyncpg.Record) -> list[OutboxEvent]:
        await begin_batch(connection, due["id"])
        if due["status"] == "running":
            return []
        events = [
            campaign_updated(CampaignChange(due["id"], due["status"], "running", due["at"], _trace_of(due)))
        ]
        await self._outbox.record(connection, events)
        return events

    async def _claim(self, connection: Connection, content: Content, limit: int, trace_id: str) -> Batch:
        rows = await connection.fetch(QUERIES["claim"], content.campaign_id, limit)
        suppressed = await self._suppressions.find(connection, [row["wa_id"] for row in rows], trace_id)
        restored = await record_consent_events(connection, suppressed)
        batch = await self._sort(connection, content, rows)
        batch.restored = restored
        await skip_recipients(connection, batch.skipped)
        await queue_recipients(connection, batch.customers)
        return batch

    async def _sort(self, connection: Connection, content: Content, rows: Sequence[asyncpg.Record]) -> Batch:
        addresses = [row["wa_id"] for row in rows]
        reachable = await read_reachability(
            connection, content.campaign_id, content.phone_number_id, addresses, self._durations
        )
        batch = Batch()
        reached: set[str] = set()
        for row in rows:
            known = once(reachable[row["wa_id"]], reached)
            prepared = _prepare(content, row, known)
            if isinstance(prepared, SkipReason):
                batch.skipped[row["id"]] = prepared
            else:
                batch.messages[row["id"]], batch.customers[row["id"]] = prepared, known.customer
                reached.add(known.customer)
        return batch

    def _report(self, due: asyncpg.Record, batch: Batch) -> None:
        logger.info(
            "campaign %s: %d messages queued, %d recipients skipped",
            due["id"],
            len(batch.messages),
            len(batch.skipped),
            extra=fields(operation=Operation.CAMPAIGN_BATCH, trace_id=_trace_of(due)),
        )


def _prepare(
    content: Content, row: asyncpg.Record, reachability: Reachability
) -> OutboundMessage | SkipReason:
    """One recipient whose row cannot be worked is skipped, with the reason, and keeps nobody else waiting."""
    try:
        prepared = prepare(content, row["wa_id"], read_variables(row["variables"]), reachability)
        if isinstance(prepared, OutboundMessage):
            encode(prepared)
    except Exception as error:
        logger.error(
            "campaign %s: recipient %d is skipped as unreadable: %s",
            content.campaign_id,
            row["id"],
            type(error).__name__,
            extra=fields(operation=Operation.CAMPAIGN_BATCH),
        )
        return SkipReason.UNREADABLE
    return prepared


def _trace_of(due: asyncpg.Record) -> str:
    """The launch's trace goes on in its messages."""
    return read_trace(due["correlation_id"]).trace_id


def _outbound(message: OutboundMessage, due: asyncpg.Record) -> OutboxEvent:
    return OutboxEvent(
        id=time_ordered_uuid(),
        aggregate_id=str(message.client_message_id),
        aggregate_type="campaign_message",
        event_type=OutboundMessage.__name__,
        payload=encode(message),
        correlation_id=_trace_of(due),
        exchange=OUTBOUND,
        routing_key=f"{_BULK_LANE}.{message.wa_id}",
    )
