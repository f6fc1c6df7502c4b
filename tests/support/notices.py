"""Shops, carts and notices for tests of automatic messages."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from shared.commerce.notices.caps import read_caps
from shared.commerce.notices.hours import QuietHours
from shared.commerce.notices.planning import PlannedNotice, plan_notices
from shared.commerce.notices.zones import read_zone
from shared.commerce.shops.file import Shop, ShopCaps, ShopMessage
from shared.payloads import Template
from shared.postgres.database import Database
from tests.support.rows import Connection, insert

ANA: Final = "491700000001"


def shop(quiet: str = "00:00-00:00", caps: str = "2/24h") -> Shop:
    zone = read_zone("UTC")
    assert zone is not None
    said = {
        "en": ShopMessage(template=Template(name="cart_1", language="en"), text="Hi {{name}}: {{cart_url}}")
    }
    return Shop.model_construct(
        currency="EUR",
        language="en",
        timezone=zone,
        phone_number_id="1001",
        quiet_hours=QuietHours.read(quiet),
        caps=ShopCaps.model_construct(marketing=read_caps(caps)),
        cart=Shop.model_fields["cart"].default,
        holdout_percent=0,
        marketing_blocked_countries=("US",),
        messages={"cart_reminder_1": said, "shipped": said},
    )


async def plan(database: Database, *, number: int = 1, **changes: object) -> list[UUID]:
    """So many notices that are due, to Ana unless said otherwise."""
    due = datetime.now(UTC) - timedelta(minutes=1)
    values: dict[str, object] = {
        "shop_id": "default",
        "kind": "request",
        "notification_type": "cart_reminder_1",
        "category": "marketing",
        "customer_phone": ANA,
        "phone_number_id": None,
        "order_id": None,
        "cart": None,
        "product_id": None,
        "variables": {"cart_url": "https://shop.example/c"},
        "language": "en",
        "not_before": due,
        "not_after": None,
    } | changes
    notices = [
        PlannedNotice(**({"dedupe_key": f"request:{uuid4()}"} | values))  # type: ignore[arg-type]
        for _ in range(number)
    ]
    async with database.transaction() as connection:
        await plan_notices(connection, notices)
    keys = [item.dedupe_key for item in notices]
    rows = await database.fetch("select id from notification_log where dedupe_key = any($1::text[])", keys)
    return [row["id"] for row in rows]


async def add_cart(conn: Connection, **values: object) -> UUID:
    row: dict[str, object] = {
        "shop_id": "default",
        "cart_id": "c1",
        "customer_phone": ANA,
        "items_hash": b"h",
        "source_hash": b"h",
        "source_updated_at": datetime.now(UTC),
        "status": "abandoned",
        "abandoned_at": datetime.now(UTC) - timedelta(hours=1),
    }
    cart: UUID = await insert(conn, "carts", **(row | values))
    return cart


async def wants_marketing(conn: Connection, customer: str = ANA) -> None:
    await insert(conn, "customer_profiles", phone=customer, name="Ana", opt_in_marketing=True)
