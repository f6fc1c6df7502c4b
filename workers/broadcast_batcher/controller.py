"""Controls: pause, resume, cancel.

What a control does to messages that
are queued already is the sender's: it reads the campaign's state before each send.
"""

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Disposition, Retry
from shared.amqp.headers import correlation_of
from shared.durable.deferral import recall_campaign, release_campaign
from shared.durable.outbox import Outbox, OutboxEvent
from shared.messaging.campaigns.events import CampaignChange, campaign_updated
from shared.messaging.campaigns.messages import SkipReason
from shared.messaging.campaigns.recipients import skip_pending
from shared.messaging.campaigns.store import control_campaign, open_campaign
from shared.messaging.messages import OwnEvent, Tracker
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads import CampaignControl, SendError
from shared.payloads.events import CampaignState
from shared.postgres.database import Connection, Database
from shared.reasons import DeadReason
from workers.broadcast_batcher.decisions import CampaignRow, NextState, decide_control
from workers.broadcast_batcher.store import QUERIES, lock_campaign

logger = get_logger(__name__)
_NAME_LENGTH = 100


class Controller:
    """Handles controls, each in a transaction of its own."""

    def __init__(self, database: Database, outbox: Outbox, tracker: Tracker) -> None:
        self._database = database
        self._outbox = outbox
        self._tracker = tracker

    async def control(self, delivery: Delivery, control: CampaignControl) -> Disposition:
        """Carry out a control. A cancel that overtakes the launch waits for it in the database."""
        campaign_id, is_cancel = control.campaign_id, control.action == "cancel"
        trace_id = correlation_of(delivery)
        async with self._database.transaction() as connection:
            is_new = is_cancel and await open_campaign(connection, campaign_id)
            standing = await lock_campaign(connection, campaign_id)
            if standing is None:
                return Retry(
                    "campaign_not_found",
                    f"no campaign {campaign_id} was launched",
                    exhausted=DeadReason.MAPPING_NOT_FOUND,
                )
            change = decide_control(standing, control.action, control.requested_at)
            status: CampaignState = standing.status if change is None else change.status
            events: list[OutboxEvent] = []
            if change is not None:
                old = None if is_new else standing.status
                events = await self._change(connection, control, standing, change, old, trace_id)
        if is_cancel and status == "cancelled":
            await skip_pending(self._database, campaign_id)
            await self._fail_attempted(campaign_id, trace_id)
        await self._outbox.publish(events)
        return Ack()

    async def _fail_attempted(self, campaign_id: str, trace_id: str) -> None:
        """What was tried before a pause ends here: nobody else would tell that it failed."""
        error = SendError(code=SkipReason.CAMPAIGN_CANCELLED.value, message="the campaign was cancelled")
        async with self._database.transaction() as connection:
            rows = await connection.fetch(QUERIES["find_attempted"], campaign_id)
            ended = [OwnEvent(row["id"], "failed", trace_id=trace_id, error=error) for row in rows]
            recorded = await self._tracker.record_own(connection, ended)
        await self._outbox.publish(recorded.events)

    async def _change(
        self,
        connection: Connection,
        control: CampaignControl,
        standing: CampaignRow,
        change: NextState,
        old: CampaignState | None,
        trace_id: str,
    ) -> list[OutboxEvent]:
        reason = None if control.action == "resume" else _reason(control)
        await control_campaign(
            connection,
            control.campaign_id,
            status=change.status,
            next_batch_at=change.next_batch_at,
            requested_at=control.requested_at,
            reason=reason,
        )
        if change.status == old:
            return []
        if old == "paused":
            await release_campaign(connection, control.campaign_id)
        if change.status in ("paused", "cancelled"):
            await recall_campaign(connection, control.campaign_id)
        logger.info(
            "campaign %s: %s, now %s",
            control.campaign_id,
            _reason(control),
            change.status,
            extra=fields(operation=Operation.CAMPAIGN_CONTROL, trace_id=trace_id),
        )
        told = CampaignChange(
            control.campaign_id, old, change.status, standing.at, trace_id, _reason(control)
        )
        events = [campaign_updated(told)]
        await self._outbox.record(connection, events)
        return events


def _reason(control: CampaignControl) -> str:
    """For people. `requested_by` is what the command line adds; a control needs none."""
    by = (control.model_extra or {}).get("requested_by")
    return f"{control.action} requested" + (f" by {by[:_NAME_LENGTH]}" if isinstance(by, str) and by else "")
