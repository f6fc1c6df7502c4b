"""Following what the platform calls a customer: evidence of whose an address is, and where replies go from now on.

Owns that this is done after what it was said with, in transactions of its own: whatever is wrong here, a
message's result and a status stand. What was not followed is said again, with the next answer or status.
"""

from collections.abc import Sequence
from typing import Final

from shared.errors import StoreDataError, StoreLocked
from shared.messaging.conversations.mappings import name_customers
from shared.messaging.customers.named import NamedCustomer
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database

logger = get_logger(__name__)


class Follower:
    """Follows named customers. May be repeated, and be used by several at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def follow(self, named: Sequence[NamedCustomer]) -> list[None]:
        """Follow all of them, or raise StoreError."""
        async with self._database.transaction() as connection:
            await name_customers(connection, [(item.message_id, item.wa_id, item.user_id) for item in named])
        return [None] * len(named)
