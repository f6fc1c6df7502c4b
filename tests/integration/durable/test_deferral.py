"""The store of deferred messages: one row for each message, however many deliveries of it are deferred."""

from uuid import UUID, uuid4

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Defer
from shared.amqp.topology import OUTBOUND_REPLY
from shared.durable.deferral import DeferralStore, DueMessage, Window
from shared.durations import DURATIONS
from shared.messaging.messages import STATUS_RETRY
from shared.postgres.database import Database
from tests.support.rows import Connection, add_message

_ALL = Window(500, 500)


async def test_two_deliveries_of_a_message_are_one_row_of_the_last_one(
    conn: Connection, database_url: str
) -> None:
    message, other = await add_message(conn), await add_message(conn)

    kept = await store(
        database_url, ("rate_limit", message), ("number_paused", other), ("earlier_message", message)
    )

    rows = await conn.fetch("select id, message_id, reason from deferred_messages order by seq")

    assert [(row["message_id"], row["reason"]) for row in rows] == [
        (message, "earlier_message"),
        (other, "number_paused"),
    ]
    assert kept == {row["id"] for row in rows}


async def test_a_message_deferred_again_keeps_its_row(conn: Connection, database_url: str) -> None:
    message = await add_message(conn)

    first = await store(database_url, ("rate_limit", message))
    again = await store(database_url, ("number_paused", message))

    assert first == again
    assert await conn.fetchval("select reason from deferred_messages") == "number_paused"


async def test_what_was_deferred_before_does_not_undo_a_retry_that_a_status_asked_for(
    conn: Connection, database_url: str
) -> None:
    message = await add_message(conn)
    asked = await store(database_url, ("retry", message), headers={STATUS_RETRY: "1"})

    late = await store(database_url, ("ambiguous", message))
    assert await stored(conn) == ("retry", "1")
    again = await store(database_url, ("number_paused", message), headers={STATUS_RETRY: "1"})

    assert await stored(conn) == ("number_paused", "1")
    assert asked == late == again


async def test_a_claim_ends_with_the_row_whose_body_reaches_its_size(
    conn: Connection, database_url: str
) -> None:
    await store(database_url, *[("rate_limit", await add_message(conn)) for _ in range(5)])
    await conn.execute("update deferred_messages set not_before = now(), body = repeat('x', 1000)::bytea")

    database = Database(database_url)
    try:
        claimed = [[item.id for item in await claim(database, most_bytes=size)] for size in (1, 1001, 10_000)]
    finally:
        await database.close()

    ids = [row["id"] for row in await conn.fetch("select id from deferred_messages order by seq")]

    assert claimed == [ids[:1], ids[1:3], ids[3:]]


async def stored(conn: Connection) -> tuple[str, str | None]:
    """Reason, and what a status asked for."""
    row = await conn.fetchrow("select reason, headers ->> $1 from deferred_messages", STATUS_RETRY)
    assert row is not None
    return row[0], row[1]


async def test_a_message_that_is_gone_is_not_stored(conn: Connection, database_url: str) -> None:
    message = await add_message(conn)

    kept = await store(database_url, ("rate_limit", uuid4()), ("rate_limit", message))

    assert len(kept) == 1
    assert await conn.fetchval("select array_agg(message_id) from deferred_messages") == [message]


async def test_what_is_not_tracked_has_a_row_for_each_delivery(conn: Connection, database_url: str) -> None:
    kept = await store(database_url, ("rate_limit", None), ("rate_limit", None))

    assert len(kept) == await conn.fetchval("select count(*) from deferred_messages") == 2


async def store(
    database_url: str, *items: tuple[str, UUID | None], headers: dict[str, str] | None = None
) -> set[UUID]:
    """Store a delivery for each reason and message, all at once."""
    database = Database(database_url)
    try:
        return await DeferralStore(database, DURATIONS).store(
            [
                (delivery(tag, headers or {}), Defer(reason, 1.0, message_id=message))
                for tag, (reason, message) in enumerate(items)
            ]
        )
    finally:
        await database.close()


async def claim(
    database: Database, window: Window = _ALL, *, most_bytes: int = 10_000_000
) -> list[DueMessage]:
    return await DeferralStore(database, DURATIONS).claim_due(OUTBOUND_REPLY, window, most_bytes=most_bytes)


def delivery(tag: int, headers: dict[str, str], queue: str = OUTBOUND_REPLY) -> Delivery:
    return Delivery(
        queue=queue,
        exchange="wa.outbound",
        routing_key="reply.491700000001",
        body=b"{}",
        headers=dict(headers),
        correlation_id=None,
        message_id=None,
        published_at=None,
        redelivered=False,
        tag=tag,
        generation=1,
        received_at=0.0,
    )
