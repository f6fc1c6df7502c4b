"""What shops say of consent, on real servers: whom it binds, from when on, and in any order."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any, Final

import pytest

from shared.commerce.shops.consents import ToldConsent, record_consents_of_shops
from shared.messaging.customers.consent import record_consent_events
from shared.messaging.customers.consent_rules import ConsentEvent, RecordedConsents
from shared.messaging.customers.erasure import erase
from shared.messaging.customers.suppressions import Suppressions
from shared.payloads import CartUpdated, ConsentChange, CustomerUpdated
from shared.postgres.database import Connection as Transaction
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.support.campaigns import BATCHER, campaign, has_counts, launch, ticking
from tests.support.cluster import Cluster
from tests.support.notices import ANA, plan
from tests.support.rows import Connection
from tests.support.waiting import until

NOON: Final = datetime(2024, 5, 6, 12, tzinfo=UTC)
OTHER: Final = "491700000002"
STOP_AT: Final = 10
KEY: Final = Suppressions(b"a key of sixteen bytes or more")


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    store = Database(database_url, size=2)
    yield store
    await store.close()


async def record(database: Database, *facts: Any) -> RecordedConsents:
    """As the shop-updater does, of one batch."""
    told = [ToldConsent(fact, "trace-1") for fact in facts]
    async with database.transaction() as connection:
        return await record_consents_of_shops(connection, told, KEY)


async def stop(connection: Transaction) -> None:
    """The customer's own word in a chat."""
    event = ConsentEvent(ANA, "marketing", False, "message", at(STOP_AT), "wamid.1", "trace-1")
    await record_consent_events(connection, [event])


def customer(second: int, *, accepts: bool | None, **fields: Any) -> CustomerUpdated:
    return CustomerUpdated(
        **({"wa_id": ANA, "updated_at": at(second), "accepts_marketing": accepts} | fields)
    )


async def answer(conn: Connection, phone: str = ANA) -> tuple[Any, ...] | None:
    row = await conn.fetchrow(
        "select opt_in_marketing, marketing_opted_at, consent_source from customer_profiles where phone = $1",
        phone,
    )
    return None if row is None else tuple(row)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (STOP_AT - 1, (False, at(STOP_AT), "message")),
        (STOP_AT, (False, at(STOP_AT), "message")),
        (STOP_AT + 1, (True, at(STOP_AT + 1), "shop")),
    ],
    ids=["earlier", "at once", "later"],
)
async def test_a_shops_yes_beside_a_stop_counts_by_its_time_in_whatever_order_they_come(
    database: Database, conn: Connection, second: int, expected: tuple[Any, ...]
) -> None:
    for order in permutations(("stop", "box", "again")):
        for step in order:
            if step == "stop":
                async with database.transaction() as connection:
                    await stop(connection)
            else:
                await record(database, customer(second, accepts=True))

        assert await answer(conn) == expected
        assert await conn.fetchval("select count(*) from consent_events") == 2
        await conn.execute("delete from consent_events")
        await conn.execute("delete from customer_profiles")


async def test_what_is_told_again_changes_nothing_and_tells_nothing(
    database: Database, conn: Connection
) -> None:
    fact = customer(0, accepts=False)
    change = ConsentChange(wa_id=ANA, notifications=False, source="web form 7", occurred_at=at(1))

    first = await record(database, fact, fact, change)
    second = await record(database, change, fact)

    assert [(item.kind, item.value, item.source) for item in first.changes] == [
        ("marketing", False, "shop"),
        ("notifications", False, "web form 7"),
    ]
    assert [event.event_type for event in first.events] == ["consent.changed"] * 2
    assert (len(second.changes), len(second.events)) == (0, 0)
    assert await conn.fetchval("select count(*) from consent_events") == 2


async def test_a_fact_without_an_answer_or_a_known_customer_says_nothing(
    database: Database, conn: Connection
) -> None:
    unknown = customer(0, accepts=True, wa_id=None, customer_id="25")

    assert await record(database, unknown) == RecordedConsents()
    await conn.execute(
        "insert into customer_profiles (phone, source_shop, wc_customer_id) values ($1, 'default', '25')", ANA
    )
    cart = CartUpdated(
        cart_id="c1", items=[], currency="EUR", updated_at=at(1), customer_id="25", accepts_marketing=True
    )
    await record(database, unknown, cart)

    assert await answer(conn) == (True, at(1), "shop")
    rows = await conn.fetch("select occurred_at, evidence from consent_events order by occurred_at")
    assert [tuple(row) for row in rows] == [(at(0), "default"), (at(1), "default")]


async def test_who_refused_and_was_erased_stays_refused_whatever_a_shop_said_before(
    database: Database, conn: Connection
) -> None:
    async with database.transaction() as connection:
        await stop(connection)
    await erase(database, ANA, TABLES, by="ben", dry_run=False, suppressions=KEY)

    await record(database, customer(STOP_AT + 1, accepts=True))

    refused = await answer(conn)
    assert refused is not None
    assert (refused[0], refused[2]) == (False, "suppression")


async def test_a_shops_no_binds_batcher_and_notifier_and_takes_back_what_waits(
    cluster: Cluster, tmp_path: Path
) -> None:
    said = {"en": {"template": {"name": "cart_1", "language": "en", "components": []}}}
    chosen = {"currency": "EUR", "timezone": "Europe/Berlin", "phone_number_id": "1001"}
    path = tmp_path / "shops.json"
    path.write_text(
        json.dumps(
            {"default": chosen | {"quiet_hours": "00:00-00:00", "messages": {"cart_reminder_1": said}}}
        )
    )
    no = {"customer_id": "25", "wa_id": ANA, "accepts_marketing": False, "updated_at": at(5).isoformat()}
    yes = {"wa_id": ANA, "marketing": True, "source": "shop", "occurred_at": at(0).isoformat()}
    others = {"cart_id": "c1", "items": [], "currency": "EUR", "wa_id": OTHER, "accepts_marketing": True}
    workers = ("shop-updater", "notifier", BATCHER)

    async with cluster.running(*workers, SHOPS_FILE=str(path)), ticking(cluster):
        await cluster.publish("wa.shop", "consent", yes)
        await cluster.publish("wa.shop", "cart.updated", others | {"updated_at": at(0).isoformat()})
        await until(lambda: len(cluster.told("consent.changed")) == 2)
        await plan_on(cluster, not_before=datetime.now(UTC) + timedelta(hours=1))
        for _ in range(2):
            await cluster.publish("wa.shop", "customer.updated", no)
        await cluster.publish("wa.shop", "consent", yes)
        await until(lambda: len(cluster.told("consent.changed")) == 3)
        assert await is_skipped(cluster, 1)
        await plan_on(cluster)
        await cluster.publish("wa.jobs", "notify.due", {})
        await launch(cluster, campaign([{"wa_id": ANA}, {"wa_id": OTHER}]))
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 1, "queued": 1}))
        await until(lambda: is_skipped(cluster, 2))

    told = [(item["customer"], item["value"], item["source"]) for item in cluster.told("consent.changed")]
    assert sorted(told) == sorted([(ANA, True, "shop"), (OTHER, True, "shop"), (ANA, False, "shop")])
    assert await cluster.conn.fetchval("select count(*) from consent_events where phone = $1", ANA) == 2


async def plan_on(cluster: Cluster, **changes: Any) -> None:
    database = Database(cluster.database_url)
    try:
        await plan(database, **changes)
    finally:
        await database.close()


async def is_skipped(cluster: Cluster, number: int) -> bool:
    rows = await cluster.conn.fetch("select skip_reason from notification_log")
    return [row["skip_reason"] for row in rows] == ["opted_out"] * number
