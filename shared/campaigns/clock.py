"""What drives a campaign from outside of its batches: which are due, which are done.

Each function is safe to run twice at once: the campaign's row is changed by guarded updates.
"""

from shared.campaigns.events import Change, campaign_updated
from shared.campaigns.recipients import count_recipients
from shared.campaigns.statements import QUERIES
from shared.observability.tracing import read_trace
from shared.postgres.database import Connection, Database
from shared.postgres.outbox import Outbox, OutboxEvent


async def due_campaigns(database: Database) -> list[str]:
    """Campaigns whose next batch is due, longest due first: publish a `nudge` for each."""
    return [row["id"] for row in await database.fetch(QUERIES["due"])]


async def finish_campaigns(database: Database, outbox: Outbox) -> list[str]:
    """Mark as done every running campaign that has nobody pending or queued, tell, and return their ids."""
    async with database.transaction() as connection:
        events = await record_finished(connection, outbox)
    await outbox.publish(events)
    return [event.aggregate_id for event in events]


async def record_finished(
    connection: Connection, outbox: Outbox, campaign_id: str | None = None
) -> list[OutboxEvent]:
    """As `finish_campaigns`, in the caller's transaction: publish the events after its commit.

    `campaign_id`: look at this campaign only.
    """
    rows = await connection.fetch(QUERIES["finish"], campaign_id)
    counts = await count_recipients(connection, [row["id"] for row in rows]) if rows else {}
    events = [
        campaign_updated(
            Change(
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
