"""Due notices claimed on a real database: the cap, what comes before and after, what a kill leaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.commerce.notices.claiming import ClaimedNotices, NoticeStore
from shared.commerce.notices.planning import take_back
from shared.commerce.shops.file import Shop
from shared.durable.outbox import Outbox, OutboxEvent
from shared.postgres import database as postgres
from shared.postgres.database import Database
from tests.support.notices import ANA, add_cart, plan, shop, wants_marketing
from tests.support.paces import FAST
from tests.support.rows import Connection, add_mapping, add_message, insert, only_row
from tests.support.tracking import AbsentBroker
from tests.support.waiting import until

WAITING = """
select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()
"""


class HeldOutbox(Outbox):
    """Stands still within the claim's transaction until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, AbsentBroker(), FAST)
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()

    async def record(self, connection: postgres.Connection, events: Sequence[OutboxEvent]) -> None:
        self.reached.set()
        await self.go_on.wait()
        await super().record(connection, events)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, size=24, lock_wait_s=30)
    yield database
    await database.close()


def notifier(
    database: Database, chosen: Shop | None = None, outbox: Outbox | None = None, mps: float = 80
) -> NoticeStore:
    kept = outbox or Outbox(database, AbsentBroker(), FAST)
    return NoticeStore(
        database,
        kept,
        {"default": chosen or shop()},
        consent="required",
        mps_of=lambda _: mps,
        durations=FAST,
    )


async def claim(store: NoticeStore, most: int = 100) -> ClaimedNotices:
    return await store.decide(await store.lease(most))


async def outcomes(conn: Connection) -> dict[str, int]:
    rows = await conn.fetch(
        "select coalesce(skip_reason, status) as what, count(*) from notification_log group by 1"
    )
    return {row["what"]: row["count"] for row in rows}


async def messages(conn: Connection) -> list[dict[str, object]]:
    rows = await conn.fetch(
        "select payload::text from outbox_events where event_type = 'OutboundMessage' order by id"
    )
    return [json.loads(row["payload"]) for row in rows]


async def is_blocked(conn: Connection, sessions: int) -> bool:
    waiting: int = await conn.fetchval(WAITING)
    return waiting >= sessions


async def test_a_due_notice_is_queued_with_its_message(conn: Connection, database: Database) -> None:
    await wants_marketing(conn)
    (notice_id,) = await plan(database)

    await claim(notifier(database))

    row = await only_row(conn, "select * from notification_log")
    assert (row["status"], row["attempt"], row["not_before"]) == ("queued", 1, None)
    assert row["reserved_at"] is not None
    assert json.loads(row["trace"])[0]["decided"] == "queue"
    (message,) = await messages(conn)
    assert message["client_message_id"] == f"notice:{notice_id}:1"
    assert message["notification_id"] == str(notice_id)
    assert message["category"] == "marketing"
    events = await conn.fetch(
        "select routing_key, exchange from outbox_events where exchange = 'wa.outbound'"
    )
    assert [row["routing_key"] for row in events] == [f"bulk.{ANA}"]


async def test_inside_the_window_it_is_the_text_outside_the_template(
    conn: Connection, database: Database
) -> None:
    await wants_marketing(conn)
    await plan(database)
    await claim(notifier(database))
    mapping = await add_mapping(conn, wa_id=ANA, customer=ANA, phone_number_id="1001")
    await add_message(conn, mapping_id=mapping, direction="INBOUND", status="received")

    await plan(database, phone_number_id="1001")
    await claim(notifier(database))

    outside, inside = await messages(conn)
    assert (outside["template"], inside["message_text"]) == (
        {"name": "cart_1", "language": "en", "components": outside["template"]["components"]},  # type: ignore[index]
        "Hi Ana: https://shop.example/c",
    )


async def test_twenty_notifiers_and_one_customer_are_exactly_the_cap(
    conn: Connection, database: Database
) -> None:
    await wants_marketing(conn)
    await plan(database, number=40)
    notifiers = [notifier(database, shop(caps="3/24h,7/30d")) for _ in range(20)]
    leased = [await store.lease(2) for store in notifiers]

    await asyncio.gather(*(store.decide(mine) for store, mine in zip(notifiers, leased, strict=True)))

    found = await outcomes(conn)
    assert found == {"queued": 3, "pending": 37}
    assert len(await messages(conn)) == 3
    postponed = "select count(*) from notification_log where not_before > now() + interval '23 hours'"
    assert await conn.fetchval(postponed) == 37


async def test_no_more_of_a_number_is_queued_than_it_sends_in_ten_seconds(
    conn: Connection, database: Database
) -> None:
    for number in range(30):
        await plan(database, category="utility", customer_phone=f"4917000001{number:02}")
    notifiers = [notifier(database, mps=1) for _ in range(3)]
    leased = [await store.lease(10) for store in notifiers]

    await asyncio.gather(*(store.decide(mine) for store, mine in zip(notifiers, leased, strict=True)))

    assert await outcomes(conn) == {"queued": 9, "pending": 21}
    waits = "select count(*) from notification_log where status = 'pending' and not_before > now()"
    assert await conn.fetchval(waits) == 21
    await conn.execute("update notification_log set status = 'sent' where status = 'queued'")
    await conn.execute("update notification_log set not_before = now() where status = 'pending'")
    await claim(notifier(database, mps=1))
    assert await outcomes(conn) == {"sent": 9, "queued": 9, "pending": 12}


async def test_a_place_that_is_given_back_is_free(conn: Connection, database: Database) -> None:
    await wants_marketing(conn)
    await plan(database, number=3)
    await claim(notifier(database, shop(caps="1/24h")))

    async with database.transaction() as connection:
        taken = await take_back(connection, reason="opted_out", customer_phone=ANA)
    assert taken == 3
    await plan(database)
    await claim(notifier(database, shop(caps="1/24h")))

    assert await outcomes(conn) == {"opted_out": 3, "queued": 1}


async def test_two_notifiers_lease_no_notice_twice(database: Database) -> None:
    await plan(database, number=10)
    notifiers = [notifier(database), notifier(database)]

    leased = await asyncio.gather(*(store.lease(10) for store in notifiers))

    ids = [item.id for part in leased for item in part]
    assert len(ids) == len(set(ids)) == 10


async def test_a_lease_that_ran_out_is_taken_over_and_its_first_owner_finds_nothing(
    conn: Connection, database: Database
) -> None:
    await wants_marketing(conn)
    await plan(database)
    slow, fast = notifier(database), notifier(database)
    leased = await slow.lease(10)
    assert await fast.lease(10) == []

    await conn.execute("update notification_log set claimed_until = now() - interval '1 second'")
    await claim(fast)
    late = await slow.decide(leased)

    assert late.decided == []
    assert len(await messages(conn)) == 1


async def test_killed_before_the_commit_it_is_decided_again_and_after_it_is_in_the_outbox(
    conn: Connection, database: Database
) -> None:
    await wants_marketing(conn)
    await plan(database)
    held = HeldOutbox(database)
    dying = asyncio.create_task(claim(notifier(database, outbox=held)))
    await held.reached.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert await outcomes(conn) == {"pending": 1}
    assert await messages(conn) == []

    await conn.execute("update notification_log set claimed_until = now() - interval '1 second'")
    await claim(notifier(database))  # and it never publishes: the scheduler finds the row of the outbox
    await claim(notifier(database))

    assert len(await messages(conn)) == 1
    assert await conn.fetchval("select count(*) from outbox_events where published_at is null") == 2


@asynccontextmanager
async def stop(conn: Connection, database: Database, kind: str, cart: UUID) -> AsyncIterator[None]:
    """A stop in a transaction that commits at the end, as its program makes it."""
    async with database.transaction() as connection:
        match kind:
            case "refusal":
                await connection.execute("update customer_profiles set opt_in_marketing = false")
                await take_back(connection, reason="opted_out", customer_phone=ANA, category="marketing")
            case "purchase":
                await connection.execute(
                    "update carts set status = 'converted', closed_at = now() where id = $1", cart
                )
                await take_back(connection, reason="converted", cart=cart)
        yield


STOPS = {"refusal": "opted_out", "purchase": "converted"}


@pytest.mark.parametrize(("kind", "reason"), STOPS.items())
async def test_a_stop_that_is_committed_first_is_seen_by_the_claim_that_waits_for_it(
    conn: Connection, database: Database, kind: str, reason: str
) -> None:
    await wants_marketing(conn)
    cart = await add_cart(conn)
    await plan(database, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")
    leased = await notifier(database).lease(10)

    async with asyncio.TaskGroup() as group, stop(conn, database, kind, cart):
        group.create_task(notifier(database).decide(leased))
        await until(lambda: is_blocked(conn, 1))

    assert await outcomes(conn) == {reason: 1}
    assert await messages(conn) == []


@pytest.mark.parametrize(("kind", "reason"), STOPS.items())
async def test_a_stop_that_comes_after_the_claim_finds_the_notice_queued_and_takes_it_back(
    conn: Connection, database: Database, kind: str, reason: str
) -> None:
    await wants_marketing(conn)
    cart = await add_cart(conn)
    await plan(database, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")
    held = HeldOutbox(database)

    async def stops() -> None:
        async with stop(conn, database, kind, cart):
            pass

    async with asyncio.TaskGroup() as group:
        group.create_task(claim(notifier(database, outbox=held)))
        await held.reached.wait()
        group.create_task(stops())
        await until(lambda: is_blocked(conn, 1))
        held.go_on.set()

    assert await outcomes(conn) == {reason: 1}
    assert len(await messages(conn)) == 1  # which the sender's gate is to withdraw
    assert await conn.fetchval("select reserved_at from notification_log") is None


async def test_a_reply_stops_the_round_at_the_claim(conn: Connection, database: Database) -> None:
    await wants_marketing(conn)
    cart = await add_cart(conn)
    await plan(database, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")
    mapping = await add_mapping(conn, wa_id=ANA, customer=ANA)
    await add_message(conn, mapping_id=mapping, direction="INBOUND", status="received")

    await claim(notifier(database))

    assert await outcomes(conn) == {"replied": 1}
    assert await conn.fetchval("select stop_reason from carts") == "replied"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"round": 2}, "cart_changed"),
        ({"stopped_at": datetime.now(UTC), "stop_reason": "opted_out"}, "opted_out"),
        ({"status": "expired", "closed_at": datetime.now(UTC)}, "expired"),
        ({"holdout": True}, "holdout"),
    ],
)
async def test_a_cart_that_wants_no_reminder_gets_none(
    conn: Connection, database: Database, changes: dict[str, object], reason: str
) -> None:
    await wants_marketing(conn)
    cart = await add_cart(conn, **changes)
    await plan(database, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")

    await claim(notifier(database))

    assert await outcomes(conn) == {reason: 1}


async def test_a_cart_that_is_being_bought_is_looked_at_again(conn: Connection, database: Database) -> None:
    await wants_marketing(conn)
    cart = await add_cart(conn)
    await insert(conn, "orders", shop_id="default", order_id="17", cart_id="c1", status="pending")
    await plan(database, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")

    await claim(notifier(database))

    row = await only_row(conn, "select status, not_before > now() as is_later, trace from notification_log")
    assert (row["status"], row["is_later"]) == ("pending", True)
    assert json.loads(row["trace"])[0]["rule"] == "checkout_running"


async def test_nobody_is_woken_and_the_last_five_decisions_are_kept(
    conn: Connection, database: Database
) -> None:
    await wants_marketing(conn)
    await conn.execute("update customer_profiles set timezone = 'UTC'")
    await plan(database)
    now = await conn.fetchval("select now()")
    quiet = f"{now - timedelta(hours=2):%H:%M}-{now + timedelta(hours=2):%H:%M}"

    for _ in range(6):
        await claim(notifier(database, shop(quiet=quiet)))
        await conn.execute("update notification_log set not_before = now() - interval '1 second'")

    (trace,) = [json.loads(row["trace"]) for row in await conn.fetch("select trace from notification_log")]
    assert await outcomes(conn) == {"pending": 1}
    assert [item["rule"] for item in trace] == ["quiet_hours"] * 5


async def test_planned_twice_it_is_one_and_without_a_phone_it_is_born_skipped(
    conn: Connection, database: Database
) -> None:
    await plan(database, dedupe_key="request:1")
    await plan(database, dedupe_key="request:1")
    await plan(database, customer_phone=None)

    assert await outcomes(conn) == {"pending": 1, "no_phone": 1}


async def test_a_shop_that_the_file_does_not_name_sends_nothing(conn: Connection, database: Database) -> None:
    await wants_marketing(conn)
    await plan(database, shop_id="strange")

    await claim(notifier(database))

    assert await outcomes(conn) == {"shop_unknown": 1}


async def test_notices_are_taken_back_of_one_order_by_type_and_key(
    conn: Connection, database: Database
) -> None:
    for order_id, kind in (("17", "shipped"), ("17", "delivered"), ("18", "shipped")):
        key = f"order:default:{order_id}:{kind}:"
        await plan(
            database,
            kind="order",
            order_id=order_id,
            notification_type=kind,
            category="utility",
            dedupe_key=key,
        )

    async with database.transaction() as connection:
        by_type = await take_back(connection, reason="superseded", order=("default", "17"), types=["shipped"])
        by_key = await take_back(
            connection, reason="superseded", order=("default", "18"), keys=["order:default:18:shipped:"]
        )
        neither = await take_back(connection, reason="superseded", order=("other", "17"))

    assert (by_type, by_key, neither) == (1, 1, 0)
    left = await only_row(
        conn, "select order_id, notification_type from notification_log where status = 'pending'"
    )
    assert tuple(left) == ("17", "delivered")


async def test_what_is_taken_back_has_exactly_one_subject(database: Database) -> None:
    async with database.transaction() as connection:
        with pytest.raises(ValueError, match="exactly one"):
            await take_back(connection, reason="superseded")
        with pytest.raises(ValueError, match="exactly one"):
            await take_back(connection, reason="superseded", customer_phone=ANA, order=("default", "17"))
