"""Idle carts on a real database: each step once, whoever looks and how often."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.commerce.notices.reminding import Reminders
from shared.commerce.shops.file import Shop
from shared.durable.outbox import Outbox
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from tests.support.notices import ANA, add_cart, plan, shop
from tests.support.paces import FAST
from tests.support.rows import Connection, only_row
from tests.support.tracking import AbsentBroker

ITEMS = [{"product_id": "p1", "quantity": 2, "price": "6.45", "product_name": "Socks"}]


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


def reminders(database: Database, shops: Mapping[str, Shop] | None = None) -> Reminders:
    outbox = Outbox(database, AbsentBroker(), FAST)
    return Reminders(database, outbox, Metrics(), {"default": shop()} if shops is None else shops)


async def add_idle(conn: Connection, hours: float, **values: object) -> UUID:
    """A cart that was used last so many hours ago, and is due."""
    now = datetime.now(UTC)
    row: dict[str, object] = {
        "status": "active",
        "abandoned_at": None,
        "items": json.dumps(ITEMS),
        "total": "12.90",
        "currency": "EUR",
        "cart_url": "https://shop.example/c",
        "last_activity_at": now - timedelta(hours=hours),
        "next_step_at": now - timedelta(minutes=1),
    }
    return await add_cart(conn, **(row | values))


async def events(conn: Connection) -> list[tuple[str, Any]]:
    rows = await conn.fetch("select event_type, payload::text as payload from outbox_events order by id")
    return [(row["event_type"], json.loads(row["payload"])) for row in rows]


async def test_the_first_delay_abandons_a_cart_and_plans_one_reminder_of_it(
    conn: Connection, database: Database
) -> None:
    cart = await add_idle(conn, 5)

    await reminders(database).run()

    row = await only_row(conn, "select *, next_step_at - last_activity_at as next_in from carts")
    assert (row["status"], row["next_in"], row["revision"]) == ("abandoned", timedelta(hours=24), 2)
    notice = await only_row(conn, "select * from notification_log")
    assert (notice["dedupe_key"], notice["cart"], notice["customer_phone"]) == (f"cart:{cart}:1:1", cart, ANA)
    assert (notice["status"], notice["not_after"]) == ("pending", row["next_step_at"])
    assert json.loads(notice["variables"])["total"] == "12.90"
    [(kind, told)] = await events(conn)
    assert kind == "cart.abandoned"
    assert (told["cart_id"], told["total"], told["round"], told["revision"]) == ("c1", "12.90", 1, 2)


async def test_two_schedulers_at_one_cart_are_one_step(conn: Connection, database: Database) -> None:
    await add_idle(conn, 5)

    await asyncio.gather(*(reminders(database).run() for _ in range(8)))

    assert await conn.fetchval("select count(*) from notification_log") == 1
    assert await conn.fetchval("select revision from carts") == 2
    assert len(await events(conn)) == 1


async def test_activity_since_the_last_look_moves_the_step_on(conn: Connection, database: Database) -> None:
    await add_idle(conn, 1)

    await reminders(database).run()

    row = await only_row(conn, "select status, next_step_at - last_activity_at as next_in from carts")
    assert tuple(row) == ("active", timedelta(hours=4))
    assert await conn.fetchval("select count(*) from notification_log") == 0


async def test_a_cart_that_idles_for_three_days_expires_and_what_waits_is_taken_back(
    conn: Connection, database: Database
) -> None:
    cart = await add_idle(conn, 73, status="abandoned", abandoned_at=datetime.now(UTC))
    await plan(database, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:3")

    await reminders(database).run()

    row = await only_row(conn, "select status, status_reason, next_step_at, closed_at from carts")
    assert (row["status"], row["status_reason"], row["next_step_at"]) == ("expired", "left", None)
    assert row["closed_at"] is not None
    assert await conn.fetchval("select skip_reason from notification_log") == "expired"
    [(kind, told)] = await events(conn)
    assert (kind, told["reason"]) == ("cart.expired", "left")


@pytest.mark.parametrize(
    "values",
    [
        {"stopped_at": datetime.now(UTC), "stop_reason": "replied", "status": "abandoned"},
        {"customer_phone": None},
        {"items": "[]"},
    ],
)
async def test_who_cannot_or_must_not_be_told_gets_no_reminder(
    conn: Connection, database: Database, values: dict[str, object]
) -> None:
    await add_idle(conn, 30, **values)

    await reminders(database).run()

    assert await conn.fetchval("select count(*) from notification_log") == 0
    assert await conn.fetchval("select next_step_at - last_activity_at from carts") == timedelta(hours=48)


async def test_carts_of_a_shop_that_the_file_does_not_name_only_expire(
    conn: Connection, database: Database
) -> None:
    await add_idle(conn, 30, shop_id="strange")
    await add_idle(conn, 80, shop_id="strange", cart_id="c2", customer_phone="491700000002")

    await reminders(database).run()

    rows = await conn.fetch("select status from carts order by cart_id")
    assert [row["status"] for row in rows] == ["active", "expired"]
    assert await conn.fetchval("select count(*) from notification_log") == 0


async def test_the_control_group_is_marked_when_its_carts_are_abandoned(
    conn: Connection, database: Database
) -> None:
    everybody = shop().model_copy(update={"holdout_percent": 100})
    await add_idle(conn, 5)

    await reminders(database, {"default": everybody}).run()

    assert await conn.fetchval("select holdout from carts") is True


async def test_a_cart_that_cannot_be_read_is_set_aside_and_keeps_no_other_waiting(
    conn: Connection, database: Database
) -> None:
    await add_idle(conn, 5, cart_id="broken", items='[{"quantity": "some"}]')
    await add_idle(conn, 5, cart_id="c2", customer_phone="491700000002")

    await reminders(database).run()

    rows = await conn.fetch("select status from carts order by cart_id")
    assert [row["status"] for row in rows] == ["active", "abandoned"]
    assert await conn.fetchval("select job from rows_set_aside") == "carts"
