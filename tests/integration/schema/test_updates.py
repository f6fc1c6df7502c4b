"""Updates that happen to every message are heap-only: no index changes."""

import asyncpg
import pytest

from tests.support.rows import Connection, add_mapping, add_message

STATUS = "update message_tracking set status = 'delivered', delivered_at = now(), updated_at = now()"
PUBLISHED = "update message_tracking set published_at = now(), publish_claimed_until = null"
TOUCH = (
    "update conversation_mappings set last_message_id = 'x', updated_at = now(), "
    "last_activity_at = date_trunc('hour', last_activity_at, 'UTC') + interval '1 second'"
)


async def count_updates(url: str, table: str, statement: str) -> tuple[int, int]:
    """Rows that `statement` updates, and how many of these updates were heap-only."""
    conn = await asyncpg.connect(url)
    try:
        await add_message(
            conn, mapping_id=await add_mapping(conn), status="sent", wamid="wamid.A", lane="reply"
        )
        await conn.execute(statement)
        await conn.execute("select pg_stat_force_next_flush()")
        row = await read_statistics(conn, table)
        return row[0], row[1]
    finally:
        await conn.close()


async def read_statistics(conn: Connection, table: str) -> asyncpg.Record:
    row: asyncpg.Record | None = await conn.fetchrow(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = $1", table
    )
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("table", "statement"),
    [("message_tracking", STATUS), ("message_tracking", PUBLISHED), ("conversation_mappings", TOUCH)],
)
async def test_an_update_of_every_message_is_heap_only(database_url: str, table: str, statement: str) -> None:
    assert await count_updates(database_url, table, statement) == (1, 1)


async def test_the_hour_of_activity_is_utc_and_follows_it(conn: Connection) -> None:
    await add_mapping(conn)
    await conn.execute("update conversation_mappings set last_activity_at = '2026-01-15 12:59:59.9+00'")

    hour = await conn.fetchval("select activity_hour from conversation_mappings")

    assert hour.isoformat() == "2026-01-15T12:00:00+00:00"


@pytest.mark.parametrize(("status", "queued_lane"), [("queued", "reply"), ("sent", None), ("failed", None)])
async def test_only_a_queued_message_waits_in_its_lane(
    conn: Connection, status: str, queued_lane: str | None
) -> None:
    message_id = await add_message(conn, status=status, lane="reply")

    stored = await conn.fetchval("select queued_lane from message_tracking where id = $1", message_id)

    assert stored == queued_lane
