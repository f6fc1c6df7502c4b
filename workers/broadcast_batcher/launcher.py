"""Launching: a campaign and its recipients are stored, once.

All of a launch is one transaction: there is no half of it.
"""

from typing import Any

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead, Disposition
from shared.amqp.headers import correlation_of
from shared.durable.outbox import Outbox, OutboxEvent
from shared.messaging.campaigns.events import CampaignChange, campaign_updated
from shared.messaging.campaigns.recipients import add_recipients, skip_pending
from shared.messaging.campaigns.store import fill_campaign, open_campaign
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics, count_repairs
from shared.payloads import BroadcastCampaign, Decoded, InvalidPayload
from shared.postgres.database import Connection, Database
from shared.reasons import DeadReason
from workers.broadcast_batcher.decisions import CampaignRow, Launch, decide_launch, launched
from workers.broadcast_batcher.store import QUERIES, lock_campaign

logger = get_logger(__name__)


class Launcher:
    """Handles launches, each in a transaction of its own."""

    def __init__(self, database: Database, outbox: Outbox, metrics: Metrics, worker: str) -> None:
        self._database = database
        self._outbox = outbox
        self._metrics = metrics
        self._worker = worker
        self._duplicates = metrics.duplicate_messages.labels(worker)

    async def launch(self, delivery: Delivery, decoded: Decoded[BroadcastCampaign]) -> Disposition:
        """Store a campaign; raises InvalidPayload where it has no recipients, here or in the database."""
        count_repairs(self._metrics, self._worker, decoded.replaced, len(decoded.dropped))
        campaign, mending = decoded.payload, decoded.mending(delivery.body)
        fields_hash, trace_id = campaign.fields_hash(), correlation_of(delivery)
        events: list[OutboxEvent] = []
        async with self._database.transaction() as connection:
            is_new = await open_campaign(connection, campaign.campaign_id)
            standing = await lock_campaign(connection, campaign.campaign_id)
            assert standing is not None
            match decide_launch(standing, fields_hash):
                case Launch.CONTRADICTION:
                    return Dead(
                        DeadReason.STATE_VIOLATION, "a campaign of this id was launched with other content"
                    )
                case Launch.REPEATED:
                    self._duplicates.inc()
                case Launch.FIRST:
                    events = await self._store(
                        connection, campaign, fields_hash, standing, trace_id, mending, is_new=is_new
                    )
                    await self._outbox.record(connection, events)
        if standing.status == "cancelled":
            await skip_pending(self._database, campaign.campaign_id)
        await self._outbox.publish(events)
        return Ack()

    async def _store(
        self,
        connection: Connection,
        campaign: BroadcastCampaign,
        fields_hash: bytes,
        standing: CampaignRow,
        trace_id: str,
        mending: dict[str, Any] | None,
        *,
        is_new: bool,
    ) -> list[OutboxEvent]:
        change = launched(standing, campaign.scheduled_at)
        await fill_campaign(
            connection,
            campaign,
            fields_hash,
            status=change.status,
            next_batch_at=change.next_batch_at,
            trace_id=trace_id,
            mending=mending,
        )
        rows = ((recipient.wa_id, recipient.variables) for recipient in campaign.recipients or ())
        added = await add_recipients(connection, campaign.campaign_id, rows)
        if not added and not await connection.fetchval(QUERIES["has_recipients"], campaign.campaign_id):
            raise InvalidPayload("recipients: none here, and none in broadcast_recipients")
        logger.info(
            "campaign %s launched, %s, with %d recipients in the message",
            campaign.campaign_id,
            change.status,
            added,
            extra=fields(operation=Operation.CAMPAIGN_CONTROL, trace_id=trace_id),
        )
        if change.status == standing.status:
            return []
        told = CampaignChange(
            campaign_id=campaign.campaign_id,
            old_status=None if is_new else standing.status,
            new_status=change.status,
            at=standing.at,
            trace_id=trace_id,
        )
        return [campaign_updated(told)]
