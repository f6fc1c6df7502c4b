"""Rows of inbound messages, once they are tracked: who publishes each, and what is known of it later.

Owns the claim of a publication: one replica has it for a lease, and nobody once it is confirmed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shared.postgres.database import Connection, Database
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.messages", "inbound.sql")


async def claim_publications(
    database: Database, wamids: Sequence[str], lease: timedelta, claimant: UUID
) -> set[str]:
    """Claim what is not published; returns those that are the claimant's now."""
    if not wamids:
        return set()
    rows = await database.fetch(_QUERIES["claim_publication"], list(wamids), lease, claimant)
    return {row["wamid"] for row in rows}


async def extend_claims(database: Database, wamids: Sequence[str], lease: timedelta, claimant: UUID) -> None:
    """Keep those of these claims that are still the claimant's."""
    await database.execute(_QUERIES["extend_claim"], list(wamids), lease, claimant)


async def mark_published(database: Database, wamids: Sequence[str]) -> None:
    """Their publication is confirmed: never again."""
    await database.execute(_QUERIES["mark_published"], list(wamids))


async def keep_mended(database: Database, mended: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what came in place of the characters that were replaced, by wamid."""
    said = [json.dumps({"mended": mending}) for mending in mended.values()]
    await database.execute(_QUERIES["keep_mended"], list(mended), said)


async def name_message(connection: Connection, wamid: str, genesys_message_id: str) -> None:
    """Give a customer's message the agent platform's id, where neither has one."""
    await connection.execute(_QUERIES["name_message"], wamid, genesys_message_id)
