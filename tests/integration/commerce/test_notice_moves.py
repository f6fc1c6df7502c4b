"""Notices follow their messages, and the sender gives back what it did not send, on a real database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.commerce.notices.ids import client_message_id
from shared.commerce.notices.moving import move_notices
from shared.commerce.notices.returning import bind_notices, return_notices
from shared.messaging.messages.judgement import Message
from shared.messaging.messages.states import Direction, MessageStatus
from shared.postgres.database import Database
from tests.support.notices import ANA, add_cart
from tests.support.rows import Connection, add_message, insert, only_row

AT = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


async def queued(conn: Connection, **values: object) -> UUID:
    row: dict[str, object] = {
        "shop_id": "default",
        "kind": "request",
        "notification_type": "cart_reminder_1",
        "dedupe_key": f"request:{uuid4()}",
        "customer_phone": ANA,
        "category": "marketing",
        "status": "queued",
        "attempt": 1,
        "reserved_at": AT,
    }
    notice: UUID = await insert(conn, "notification_log", **(row | values))
    return notice


async def tell(database: Database, notice: UUID, status: str, attempt: int = 1, **values: Any) -> list[str]:
    """What is told of a message that is now so; gives the new statuses that are told of the notice."""
    message = Message(
        uuid4(),
        Direction.OUTBOUND,
        MessageStatus(status),
        client_message_id=client_message_id(notice, attempt),
        **values,
    )
    async with database.transaction() as connection:
        events = await move_notices(connection, [message])
    return [item.payload.decode().partition('"new_status":"')[2].partition('"')[0] for item in events]


async def look(conn: Connection) -> Any:
    return await only_row(conn, "select *, not_before - now() as due_in from notification_log")


async def test_a_notice_goes_up_with_its_message_in_any_order(conn: Connection, database: Database) -> None:
    notice = await queued(conn)

    told = [
        await tell(database, notice, "sent", wamid="w1", sent_at=AT),
        await tell(database, notice, "read", wamid="w1", sent_at=AT, read_at=AT),
        await tell(database, notice, "delivered", wamid="w1", sent_at=AT, delivered_at=AT),
        await tell(database, notice, "read", wamid="w1", sent_at=AT, read_at=AT),
    ]

    assert told == [["sent"], ["read"], [], []]
    row = await look(conn)
    assert (row["status"], row["wamid"], row["revision"]) == ("read", "w1", 3)
    assert (row["sent_at"], row["delivered_at"], row["read_at"]) == (AT, AT, AT)


@pytest.mark.parametrize(
    ("code", "status", "in_s"),
    [
        ("131000", "pending", 300),
        ("131047", "pending", 0),
        ("131026", "failed", None),
        ("131049", "pending", 86_400),
    ],
)
async def test_what_may_pass_is_due_again_and_its_place_is_free(
    conn: Connection, database: Database, code: str, status: str, in_s: float | None
) -> None:
    notice = await queued(conn)

    await tell(database, notice, "failed", error_code=code)
    again = await tell(database, notice, "failed", error_code=code)

    row = await look(conn)
    assert (row["status"], row["error_code"], row["reserved_at"], again) == (status, code, None, [])
    assert row["template_only"] is (code == "131047")
    if in_s is None:
        assert row["not_before"] is None
    else:
        assert timedelta(seconds=in_s - 60) < row["due_in"] <= timedelta(seconds=in_s)
        assert row["retry_count"] == 1


async def test_a_failure_after_acceptance_keeps_its_place(conn: Connection, database: Database) -> None:
    notice = await queued(conn)

    await tell(database, notice, "sent", sent_at=AT)
    await tell(database, notice, "failed", sent_at=AT, error_code="131026")

    row = await look(conn)
    assert (row["status"], row["reserved_at"]) == ("failed", AT)


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("131000", {"retry_count": 3}),
        ("131047", {"template_only": True}),
        ("131049", {"not_after": datetime.now(UTC) + timedelta(hours=23)}),
    ],
)
async def test_once_more_has_an_end(
    conn: Connection, database: Database, code: str, values: dict[str, object]
) -> None:
    notice = await queued(conn, **values)

    await tell(database, notice, "failed", error_code=code)

    assert (await look(conn))["status"] == "failed"


async def test_what_was_skipped_and_what_another_attempt_tells_changes_nothing(
    conn: Connection, database: Database
) -> None:
    skipped = await queued(conn, status="skipped", skip_reason="opted_out", reserved_at=None)
    told = await tell(database, skipped, "sent", sent_at=AT)
    assert (told, (await look(conn))["status"]) == ([], "skipped")

    await conn.execute("update notification_log set status = 'queued', attempt = 2")
    told = await tell(database, skipped, "failed", attempt=1, error_code="131026")
    assert (told, (await look(conn))["status"]) == ([], "queued")


async def test_a_failed_message_that_was_sent_after_all_is_not_sent_again(
    conn: Connection, database: Database
) -> None:
    notice = await queued(conn)
    await tell(database, notice, "failed", error_code="131000")

    await tell(database, notice, "read", sent_at=AT, read_at=AT)

    row = await look(conn)
    assert (row["status"], row["not_before"], row["error_code"]) == ("read", None, None)


@pytest.mark.parametrize(("at_round", "reminded"), [(1, AT), (2, None)])
async def test_the_reminder_of_its_round_is_told_on_the_cart_and_credited(
    conn: Connection, database: Database, at_round: int, reminded: datetime | None
) -> None:
    cart = await add_cart(conn, round=at_round)
    notice = await queued(conn, kind="cart", cart=cart, dedupe_key=f"cart:{cart}:1:1")
    await insert(
        conn, "reengagement", id=notice, shop_id="default", customer_phone=ANA, campaign_type="cart_reminder"
    )

    await tell(database, notice, "sent", sent_at=AT)
    await tell(database, notice, "delivered", sent_at=AT + timedelta(minutes=1), delivered_at=AT)

    row = await only_row(conn, "select reminder_1_sent_at, reminder_2_sent_at from carts")
    assert tuple(row) == (reminded, None)
    assert await conn.fetchval("select sent_at from reengagement") == AT


async def test_a_message_of_no_notice_moves_none(conn: Connection, database: Database) -> None:
    await queued(conn)

    assert await tell(database, uuid4(), "sent", sent_at=AT) == []
    assert (await look(conn))["status"] == "queued"


@pytest.mark.parametrize(("status", "reason"), [("pending", None), ("skipped", "replied")])
async def test_what_was_not_sent_is_given_back_and_its_place_is_free(
    conn: Connection, database: Database, status: Any, reason: str | None
) -> None:
    notice = await queued(conn)

    async with database.transaction() as connection:
        await return_notices(connection, [(notice, status, reason)])

    row = await look(conn)
    assert (row["status"], row["skip_reason"], row["reserved_at"]) == (status, reason, None)
    assert (row["not_before"] is None) is (status == "skipped")


async def test_who_took_a_notice_back_first_has_said_why(conn: Connection, database: Database) -> None:
    notice = await queued(conn, status="skipped", skip_reason="converted")

    async with database.transaction() as connection:
        await return_notices(connection, [(notice, "skipped", "replied")])

    assert (await look(conn))["skip_reason"] == "converted"


async def test_a_claimed_attempt_binds_its_notice(conn: Connection, database: Database) -> None:
    notice, message = await queued(conn), await add_message(conn)

    async with database.transaction() as connection:
        await bind_notices(connection, [(notice, message)])

    assert (await look(conn))["message_id"] == message
