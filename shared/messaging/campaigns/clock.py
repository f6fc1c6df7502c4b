"""What drives a campaign from outside of its batches: which are due, which are done.

Each function is safe to run twice at once: the campaign's row is changed by guarded updates.
"""

from collections.abc import Sequence
from typing import Final

from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox, OutboxEvent
from shared.messaging.campaigns.events import CampaignChange, campaign_updated
from shared.messaging.campaigns.recipients import count_recipients
from shared.messaging.campaigns.statements import QUERIES
from shared.observability.tracing import read_trace
from shared.postgres.database import Connection, Database

#: The scheduler's job, in `rows_set_aside`.
JOB: Final = "campaigns"


async def due_campaigns(database: Database) -> list[str]:
    """Campaigns whose next batch is due, longest due first: publish a `nudge` for each."""
    return [row["id"] for row in await database.fetch(QUERIES["due"])]


async def finish_campaigns(database: Database, outbox: Outbox) -> int:
    """Mark as done every running campaign that has nobody pending or queued, and tell; returns how many."""

    async def finish(campaign_ids: Sequence[str]) -> int:
        async with database.transaction() as connection:
            events = await record_finished(connection, outbox, campaign_ids)
        await outbox.publish(events)
        return len(events)

    found = [row["id"] for row in await database.fetch(QUERIES["find_finished"])]
    return await RowsAside(database).work(JOB, found, str, finish)


async def record_finished(
    connection: Connection, outbox: Outbox, campaign_ids: Sequence[str]
) -> list[OutboxEvent]:
    """Mark as done those of these that are; publish the events after the caller's commit."""
    rows = await connection.fetch(QUERIES["finish"], list(campaign_ids))
    counts = await count_recipients(connection, [row["id"] for row in rows]) if rows else {}
    events = [
        campaign_updated(
            CampaignChange(
                campaign_id=row["id"],
                old_status="running",
                new_status="done",
                at=row["at"],
                trace_id=read_trace(row["correlation_id"]).trace_id,
                recipients=counts[row["id"]],
            )
        )
        for row in rows
    ]
    await outbox.record(connection, events)
    return events
