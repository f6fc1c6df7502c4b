"""Carts that were left, and that nobody can be reminded of: they expire, and others are told."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from shared.commerce.carts.rules import is_left, leave
from shared.commerce.carts.store import find_left, hold_carts, write_carts
from shared.commerce.carts.telling import tell_expired
from shared.commerce.shops.holding import read_time
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.ids import random_hex
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.postgres.database import Database

logger = get_logger(__name__)
#: Carts of one transaction.
_ROWS = 500


class LeftCartsJob:
    """Expires them, so many at a time."""

    def __init__(self, database: Database, outbox: Outbox, metrics: Metrics, durations: Durations) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._outbox = outbox
        self._metrics = metrics
        self._idle = timedelta(hours=durations.cart_left_h)

    async def run(self) -> int:
        """Expire all of them; returns how many."""
        total = 0
        while ids := await find_left(self._database, self._idle, _ROWS):
            expired = await self._aside.work("left carts", ids, str, self._expire)
            total += expired
            if not expired:
                break
        if total:
            logger.info("%d carts were left", total, extra=fields(operation=Operation.RETENTION))
        return total

    async def _expire(self, ids: Sequence[UUID]) -> int:
        """Those that are still so, now that they are held."""
        async with self._database.transaction() as connection:
            held = await hold_carts(connection, ids)
            now = await read_time(connection)
            carts = [leave(cart, now) for cart in held if is_left(cart, self._idle, now)]
            events = [tell_expired(cart, random_hex(16)) for cart in carts]
            await write_carts(connection, carts)
            await self._outbox.record(connection, events)
        await self._outbox.publish(events)
        self._metrics.carts.labels("expired").inc(len(carts))
        return len(carts)
