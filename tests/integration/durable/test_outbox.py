"""The outbox: what nobody published is never pruned, however old, and is published by one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.durable.outbox import Outbox, OutboxEvent, event
from shared.postgres.database import Database
from tests.support.paces import FAST
from tests.support.rows import Connection, insert
from tests.support.tracking import AbsentBroker
from tests.support.upkeep import prune


async def test_only_what_was_published_grows_too_old(conn: Connection) -> None:
    for name, is_published, days in (
        ("told", True, 9),
        ("never told", False, 9),
        ("told just now", True, 7),
    ):
        event_id = await insert(conn, "outbox_events", event_type=name)
        await conn.execute(
            "update outbox_events set created_at = now() - make_interval(days => $2),"
            " published_at = case when $3 then now() end where id = $1",
            event_id,
            days,
            is_published,
        )

    removed = [await prune(conn, "outbox_events", 100) for _ in range(2)]

    assert removed == [1, 0]
    left = await conn.fetch("select event_type from outbox_events order by event_type")

    assert [row["event_type"] for row in left] == ["never told", "told just now"]


async def test_what_its_writer_is_about_to_publish_is_not_published_beside_it(
    conn: Connection, database_url: str
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    await insert(conn, "outbox_events", event_type="at it", claimed_until=later)
    await insert(conn, "outbox_events", event_type="gave up", claimed_until=later - timedelta(days=1))
    await insert(conn, "outbox_events", event_type="never began")

    database = Database(database_url)
    outbox = Outbox(database, AbsentBroker(), FAST)
    claimed = [sorted(event.event_type for event in await claim_all(outbox)) for _ in range(2)]
    await database.close()

    assert claimed == [["gave up", "never began"], []]


async def test_what_is_told_once_more_is_as_if_it_had_just_been_recorded(
    conn: Connection, database_url: str
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=7)
    told = await insert(conn, "outbox_events", event_type="told", published_at=long_ago, created_at=long_ago)
    written = await insert(conn, "outbox_events", event_type="being written", published_at=long_ago)
    async with open_database(database_url) as database:
        outbox = Outbox(database, AbsentBroker(), replace(FAST, unmarked_after_s=0.0))
        async with conn.transaction():
            await conn.execute("select from outbox_events where id = $1 for update", written)
            async with database.transaction() as connection:
                again = await outbox.reopen(connection, [told, written])
        left = await claim_all(outbox)

    age_s = await conn.fetchval(
        "select extract(epoch from now() - created_at) from outbox_events where id = $1", told
    )

    assert [event.id for event in again] == [event.id for event in left] == [told]
    assert age_s < 3600


async def test_what_is_recorded_once_is_not_recorded_again(conn: Connection, database_url: str) -> None:
    first, second = (event(name, b"{}", aggregate=("test", name), correlation_id="t") for name in "ab")
    async with open_database(database_url) as database, database.transaction() as connection:
        outbox = Outbox(database, AbsentBroker(), FAST)
        new = await outbox.record_once(connection, [first])
        newer = await outbox.record_once(connection, [first, second])

    assert (new, newer) == ([first], [second])
    assert await conn.fetchval("select count(*) from outbox_events") == 2


@asynccontextmanager
async def open_database(url: str) -> AsyncIterator[Database]:
    """One that does not wait long for what somebody has locked."""
    database = Database(url, lock_wait_s=0.2)
    try:
        yield database
    finally:
        await database.close()


async def claim_all(outbox: Outbox) -> list[OutboxEvent]:
    return [event for name in await outbox.destinations() for event in await outbox.claim_unmarked(name, 10)]
