"""The campaign's row, written: opened, launched, controlled, begun, paused by what its messages came to.

Owns these changes of `broadcast_campaigns`, in the caller's transaction. What a change shall be is decided by
those who call; when a campaign is done is `clock`'s.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from shared.messaging.campaigns.messages import DEFAULT_CATEGORY
from shared.messaging.campaigns.statements import QUERIES
from shared.payloads import BroadcastCampaign, encode
from shared.payloads.events import CampaignState
from shared.postgres.database import Connection, touched


async def open_campaign(connection: Connection, campaign_id: str) -> bool:
    """Make a draft of a campaign that is not known; returns whether it was not."""
    return touched(await connection.execute(QUERIES["open"], campaign_id)) == 1


async def fill_campaign(
    connection: Connection,
    campaign: BroadcastCampaign,
    fields_hash: bytes,
    *,
    status: CampaignState,
    next_batch_at: datetime | None,
    trace_id: str,
    mending: Mapping[str, Any] | None,
) -> None:
    """Write all of a launch but its recipients. `mending`: what came in place of replaced characters."""
    await connection.execute(
        QUERIES["launch"],
        campaign.campaign_id,
        fields_hash,
        campaign.phone_number_id,
        campaign.name,
        None if campaign.template is None else encode(campaign.template).decode(),
        campaign.message_text,
        campaign.category or DEFAULT_CATEGORY,
        campaign.batch_size,
        campaign.batch_delay_ms,
        campaign.scheduled_at,
        trace_id,
        status,
        next_batch_at,
        campaign.on_ambiguous,
        None if mending is None else {"mended": mending},
    )


async def control_campaign(
    connection: Connection,
    campaign_id: str,
    *,
    status: CampaignState,
    next_batch_at: datetime | None,
    requested_at: datetime,
    reason: str | None,
) -> None:
    """Write what a control made of it."""
    await connection.execute(QUERIES["control"], campaign_id, status, next_batch_at, requested_at, reason)


async def begin_batch(connection: Connection, campaign_id: str) -> None:
    """It runs, and its next batch is due a delay later."""
    await connection.execute(QUERIES["begin"], campaign_id)


async def pause_campaigns(
    connection: Connection, message_ids: Sequence[UUID], reasons: Sequence[str]
) -> Sequence[asyncpg.Record]:
    """Pause the campaigns of these messages, each for a reason; returns those that were not paused before."""
    if not message_ids:
        return []
    return await connection.fetch(QUERIES["pause_campaigns"], list(message_ids), list(reasons))


async def reopen_campaigns(connection: Connection, message_ids: Sequence[UUID]) -> Sequence[asyncpg.Record]:
    """Run again the campaigns that are done, where recipients of these messages are queued; returns them."""
    if not message_ids:
        return []
    return await connection.fetch(QUERIES["reopen_campaigns"], list(message_ids))
