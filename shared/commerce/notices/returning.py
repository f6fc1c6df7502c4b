"""Queued notices that the sender gives back unsent: due again, or skipped. In the transaction of its gate."""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from shared.postgres.database import Connection
from shared.postgres.queries import Queries

_QUERIES: Final = Queries("shared.commerce.notices", "returning.sql")

#: The notice, what it becomes, and why it is skipped.
ReturnedNotice = tuple[UUID, Literal["pending", "skipped"], str | None]


async def return_notices(connection: Connection, returned: Sequence[ReturnedNotice]) -> None:
    """Give notices back whose message was never sent: their places are free. Raises StoreError."""
    if returned:
        columns = zip(*sorted(returned, key=lambda item: item[0]), strict=True)
        await connection.execute(_QUERIES["return"], *map(list, columns))


async def bind_notices(connection: Connection, bound: Sequence[tuple[UUID, UUID]]) -> None:
    """Name the message of each notice: an attempt of it is claimed. Raises StoreError."""
    if bound:
        columns = zip(*sorted(bound), strict=True)
        await connection.execute(_QUERIES["bind"], *map(list, columns))
