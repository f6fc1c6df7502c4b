"""`campaign.updated`: a campaign's state changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.durable.outbox import OutboxEvent, event
from shared.payloads import CampaignUpdated, encode
from shared.payloads.events import CampaignState


@dataclass(frozen=True, slots=True)
class CampaignChange:
    """One change of state, `at` a time of the database. `recipients` counts them by status, where known."""

    campaign_id: str
    old_status: CampaignState | None
    new_status: CampaignState
    at: datetime
    trace_id: str
    reason: str | None = None
    recipients: Mapping[str, int] | None = None


def campaign_updated(change: CampaignChange) -> OutboxEvent:
    """The event to record in the transaction of the change."""
    told = CampaignUpdated(
        campaign_id=change.campaign_id,
        old_status=change.old_status,
        new_status=change.new_status,
        reason=change.reason,
        recipients=None if change.recipients is None else dict(change.recipients),
        timestamp=change.at,
        trace_id=change.trace_id,
    )
    return event(
        told.event_type,
        encode(told),
        aggregate=("broadcast_campaign", change.campaign_id),
        correlation_id=change.trace_id,
    )
