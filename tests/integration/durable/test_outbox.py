"""The outbox: what nobody published is never pruned, however old, and is published by one."""

from datetime import UTC, datetime, timedelta

from shared.durable.outbox import Outbox, OutboxEvent
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


async def claim_all(outbox: Outbox) -> list[OutboxEvent]:
    return [event for name in await outbox.destinations() for event in await outbox.claim_unmarked(name, 10)]
