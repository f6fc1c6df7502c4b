"""Profiles held: whoever decides by a customer's consent, or counts what they get, is alone with it.

Owns the order: profiles are locked by phone, after mappings and messages, before whatever hangs on them.
"""

from collections.abc import Iterable
from typing import Final

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.messaging.customers", "holding.sql")


async def hold_profiles(connection: Connection, customers: Iterable[str]) -> None:
    """Lock the profiles of these customers until the commit; one that is missing is made. Raises StoreError.

    A refusal that is committed before is seen by the next statement; one that comes now waits.
    """
    asked = sorted(set(customers))
    if asked:
        await connection.execute(_QUERIES["make_missing"], asked)
        await connection.execute(_QUERIES["hold"], asked)
