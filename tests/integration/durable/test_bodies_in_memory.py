"""Jobs take as many bodies of a MiB into memory as there is room for, and read no others."""

from datetime import timedelta
from typing import Final

from shared.deadletters.store import QUERIES as LETTERS
from shared.postgres.database import CLAIMED_BYTES, Database
from shared.postgres.queries import Queries
from tests.integration.growth.measuring import measure
from tests.support.rows import Connection, add_message, insert
from workers.scheduler.statements import QUERIES as SCHEDULER

MIB: Final = 1024 * 1024
ROOM: Final = CLAIMED_BYTES // MIB
#: What no compression makes smaller: a hundred thousand characters.
_LONG: Final = "select string_agg(md5(random()::text), '') from generate_series(1, 3125)"


async def test_ambiguous_messages_are_decided_on_as_there_is_room(conn: Connection) -> None:
    for _ in range(ROOM + 5):
        await insert(
            conn,
            "deferred_messages",
            queue="outbound-sender",
            exchange="wa.outbound",
            routing_key="reply.1",
            body=b"x" * MIB,
            reason="ambiguous",
            not_before=await conn.fetchval("select now() - interval '1 second'"),
            message_id=await add_message(conn),
        )

    due = await conn.fetch(SCHEDULER["find_due_ambiguous"], 200, CLAIMED_BYTES)

    assert len(due) == ROOM


async def test_dead_letters_go_back_by_themselves_as_there_is_room(conn: Connection) -> None:
    for _ in range(ROOM + 5):
        await insert(conn, "dead_letter_queue", reason="database_error", raw_body=b"x" * MIB)

    due = await conn.fetch(LETTERS["due_by_themselves"], timedelta(0), 3, 50, CLAIMED_BYTES, [])

    assert len(due) == ROOM


async def test_the_outbox_reads_no_payload_that_it_does_not_claim(
    conn: Connection, database_url: str
) -> None:
    await conn.execute(
        f"insert into outbox_events (payload) select jsonb_build_object('text', ({_LONG}), 'n', n)"
        " from generate_series(1, 50) as n"
    )
    sizes = await conn.fetch(
        "select payload_bytes, octet_length(payload::text) as exact, destination from outbox_events"
    )
    (destination,) = {row["destination"] for row in sizes}
    assert all(row["payload_bytes"] == row["exact"] for row in sizes)
    database = Database(database_url, size=1)
    try:
        async with database.connection() as connection:
            statement = Queries("shared.durable", "outbox.sql")["claim_unmarked"]
            arguments = (50, timedelta(seconds=15), 1, destination)
            reading = await measure(connection, statement, arguments, generic=False)
    finally:
        await database.close()

    assert reading.pages < 300  # a payload has more than ten
