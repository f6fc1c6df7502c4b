"""A campaign's row under lock: opening, reading and changing it.

Owns the transactions' first step. Batches have statements of their own (`batches`).
"""

from typing import Final

from shared.messaging.campaigns.messages import SkipReason
from shared.postgres.database import Connection, Database, touched
from shared.postgres.queries import Queries
from workers.broadcast_batcher.decisions import CampaignRow

QUERIES: Final = Queries("workers.broadcast_batcher")
#: Recipients of one statement: a campaign of millions is cancelled in short transactions.
_SKIPPED_AT_ONCE: Final = 1000


async def open_campaign(connection: Connection, campaign_id: str) -> bool:
    """Make a draft of a campaign that is not known; returns whether it was not."""
    return touched(await connection.execute(QUERIES["open"], campaign_id)) == 1


async def lock_campaign(connection: Connection, campaign_id: str) -> CampaignRow | None:
    """Lock a campaign's row until the end of the transaction; None where it is not known."""
    row = await connection.fetchrow(QUERIES["lock"], campaign_id)
    if row is None:
        return None
    return CampaignRow(row["status"], row["at"], row["fields_hash"], row["control_at"], row["scheduled_at"])


async def skip_pending(database: Database, campaign_id: str) -> None:
    """Skip whoever is still pending in a cancelled campaign. Safe to repeat, and to stop anywhere.

    No batch can be under way: it would hold the row whose change to `cancelled` is committed.
    """
    while True:
        skipped = await database.execute(
            QUERIES["skip_pending"], campaign_id, SkipReason.CAMPAIGN_CANCELLED, _SKIPPED_AT_ONCE
        )
        if skipped < _SKIPPED_AT_ONCE:
            return
