"""A campaign's row under lock, as the batcher reads it.

Owns the transactions' first step. Batches have statements of their own (`batches`); changes of the row are
`shared.messaging.campaigns.store`'s.
"""

from typing import Final

from shared.postgres.database import Connection
from shared.postgres.queries import Queries
from workers.broadcast_batcher.decisions import CampaignRow

QUERIES: Final = Queries("workers.broadcast_batcher")


async def lock_campaign(connection: Connection, campaign_id: str) -> CampaignRow | None:
    """Lock a campaign's row until the end of the transaction; None where it is not known."""
    row = await connection.fetchrow(QUERIES["lock"], campaign_id)
    if row is None:
        return None
    return CampaignRow(row["status"], row["at"], row["fields_hash"], row["control_at"], row["scheduled_at"])
