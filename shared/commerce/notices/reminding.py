"""Idle carts: abandoned, reminded of, expired, each look in a transaction with the notices that it plans.

Owns that transaction. Carts are locked first, then what hangs on them; two that look at one cart come one
after the other, and the second finds it moved on.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from shared.commerce.carts.due import (
    abandon_carts,
    expire_carts,
    find_due_carts,
    lock_due_carts,
    move_carts_on,
)
from shared.commerce.carts.steps import CartStep, IdleCart, find_step
from shared.commerce.notices.planning import PlannedNotice, plan_notices, take_back_of_carts
from shared.commerce.notices.reminders import RemindedCart, is_held_out, plan_reminders
from shared.commerce.shops.file import CartChoice, Shop
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.observability.metrics import Metrics
from shared.payloads import CartAbandoned, CartExpired, Event, encode
from shared.postgres.database import Database

#: The scheduler's job, in `rows_set_aside`.
JOB: Final = "carts"
#: Carts of one transaction, and how many of those before other jobs have their turn.
_PAGE: Final = 500
_PAGES: Final = 20


@dataclass(frozen=True, slots=True)
class _Look:
    """A cart that was looked at."""

    row: asyncpg.Record
    step: CartStep
    holdout: bool


class Reminders:
    """Looks at carts whose step has come, for the shops of SHOPS_FILE; carts of others only expire."""

    def __init__(
        self, database: Database, outbox: Outbox, metrics: Metrics, shops: Mapping[str, Shop]
    ) -> None:
        self._database = database
        self._outbox = outbox
        self._metrics = metrics
        self._aside = RowsAside(database)
        self._shops = shops

    async def run(self) -> int:
        """Look at what is due; returns at how many carts. Raises StoreError."""
        looked = 0
        for _ in range(_PAGES):
            due = await find_due_carts(self._database, _PAGE)
            found = await self._aside.work(JOB, due, str, self.look_at)
            looked += found
            if found < _PAGE:
                break
        return looked

    async def look_at(self, carts: Sequence[UUID]) -> int:
        """Look at those of these that are due and that nobody else has in hand; returns how many."""
        async with self._database.transaction() as connection:
            looks = [self._look(row) for row in await lock_due_carts(connection, carts)]
            abandoned = [look for look in looks if look.step.abandons]
            expired = [look.row["id"] for look in looks if look.step.expires]
            moved = [(look.row["id"], at) for look in looks if (at := look.step.next_at) is not None]
            await move_carts_on(connection, moved)
            await abandon_carts(connection, [(look.row["id"], look.holdout) for look in abandoned])
            await expire_carts(connection, expired)
            await take_back_of_carts(connection, [(cart, "expired") for cart in expired])
            await plan_notices(connection, [notice for look in looks for notice in self._plan(look)])
            events = [_told(look) for look in looks if look.step.abandons or look.step.expires]
            await self._outbox.record(connection, events)
        await self._outbox.publish(events)
        self._metrics.carts.labels("abandoned").inc(len(abandoned))
        self._metrics.carts.labels("expired").inc(len(expired))
        return len(looks)

    def _look(self, row: asyncpg.Record) -> _Look:
        shop = self._shops.get(row["shop_id"])
        choice = CartChoice(reminders=()) if shop is None else shop.cart
        customer = row["customer_phone"]
        idle = IdleCart(
            now=row["at"],
            last_activity_at=row["last_activity_at"],
            is_abandoned=row["status"] == "abandoned",
            may_be_reminded_of=customer is not None and row["stopped_at"] is None and row["items"] != "[]",
            sent=row["reminders_sent_at"],
        )
        percent = 0 if shop is None else shop.holdout_percent
        holdout = customer is not None and is_held_out(row["shop_id"], customer, percent)
        return _Look(row, find_step(idle, choice.reminders, choice.expires), holdout)

    def _plan(self, look: _Look) -> list[PlannedNotice]:
        shop = self._shops.get(look.row["shop_id"])
        if shop is None or look.step.reminder is None:
            return []
        row = look.row
        cart = RemindedCart(
            id=row["id"],
            shop_id=row["shop_id"],
            customer_phone=row["customer_phone"],
            phone_number_id=row["phone_number_id"],
            round=row["round"],
            items=json.loads(row["items"]),
            total=row["total"],
            currency=row["currency"],
            cart_url=row["cart_url"],
        )
        return plan_reminders(cart, look.step, shop, row["at"])


def _told(look: _Look) -> OutboxEvent:
    row = look.row
    said = {
        "cart": row["id"],
        "shop_id": row["shop_id"],
        "cart_id": row["cart_id"],
        "customer": row["customer_phone"],
        "revision": row["revision"] + 1,
        "timestamp": row["at"],
        "trace_id": row["id"].hex,
    }
    told: Event
    if look.step.expires:
        told = CartExpired(**said, reason="left")
    else:
        told = CartAbandoned(**said, total=row["total"], currency=row["currency"], round=row["round"])
    return event(told.event_type, encode(told), aggregate=("cart", row["id"]), correlation_id=row["id"].hex)
