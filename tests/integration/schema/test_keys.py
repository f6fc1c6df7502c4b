"""What the database keeps unique, what refers to what, and what goes with what."""

from uuid import UUID

import asyncpg
import pytest

from tests.support.rows import (
    NEEDED,
    NOON,
    Connection,
    add_campaign,
    add_mapping,
    add_message,
    complete,
    insert,
)


async def test_a_customer_has_one_active_mapping_on_a_number(conn: Connection) -> None:
    await add_mapping(conn)

    with pytest.raises(asyncpg.UniqueViolationError):
        await add_mapping(conn)


async def test_a_customer_has_many_past_mappings_and_one_on_each_number(conn: Connection) -> None:
    for status in ("closed", "closed", "expired", "expired", "active"):
        await add_mapping(conn, status=status)
    await add_mapping(conn, phone_number_id="1002")

    assert await conn.fetchval("select count(*) from conversation_mappings") == 6


@pytest.mark.parametrize("column", ["wamid", "genesys_message_id", "client_message_id"])
async def test_an_id_of_a_message_is_there_once_where_known(conn: Connection, column: str) -> None:
    await add_message(conn)
    await add_message(conn)
    await add_message(conn, **{column: "one"})

    with pytest.raises(asyncpg.UniqueViolationError):
        await add_message(conn, **{column: "one"})


@pytest.mark.parametrize("column", ["genesys_message_id", "client_message_id"])
async def test_a_replay_keeps_the_ids_of_the_message_it_replays(conn: Connection, column: str) -> None:
    failed = await add_message(conn, status="failed", **{column: "one"})

    await add_message(conn, replay_of=failed, **{column: "one"})

    with pytest.raises(asyncpg.UniqueViolationError):
        await add_message(conn, replay_of=failed, **{column: "two"})


async def test_an_attempt_is_claimed_once(conn: Connection) -> None:
    message_id = await add_message(conn)
    await insert(conn, "send_attempts", message_id=message_id, attempt=1, outcome="failed")

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(conn, "send_attempts", message_id=message_id, attempt=1)


@pytest.mark.parametrize("standing", [None, "sent"])
async def test_no_attempt_begins_beside_one_that_is_open_or_succeeded(
    conn: Connection, standing: str | None
) -> None:
    message_id = await add_message(conn)
    await insert(conn, "send_attempts", message_id=message_id, attempt=1, outcome=standing)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(conn, "send_attempts", message_id=message_id, attempt=2)


@pytest.mark.parametrize("past", ["failed", "ambiguous", "abandoned"])
async def test_a_new_attempt_follows_one_that_did_not_succeed(conn: Connection, past: str) -> None:
    message_id = await add_message(conn)
    await insert(conn, "send_attempts", message_id=message_id, attempt=1, outcome=past)

    await insert(conn, "send_attempts", message_id=message_id, attempt=2)

    assert await conn.fetchval("select count(*) from send_attempts where outcome is null") == 1


@pytest.mark.parametrize("reference", ["wamid", "callback_data", "genesys_message_id"])
async def test_an_identical_status_event_is_stored_once(conn: Connection, reference: str) -> None:
    event: dict[str, object] = {reference: "one", "status": "read", "occurred_at": NOON, "source": "whatsapp"}
    await insert(conn, "status_events", **event)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(conn, "status_events", **event)


@pytest.mark.parametrize(
    "change",
    [{"source": "genesys"}, {"status": "sent"}, {"occurred_at": NOON.replace(second=1)}, {"wamid": "two"}],
)
async def test_a_status_event_that_differs_is_stored_too(conn: Connection, change: dict[str, object]) -> None:
    event: dict[str, object] = {"wamid": "one", "status": "read", "occurred_at": NOON, "source": "whatsapp"}
    await insert(conn, "status_events", **event)

    await insert(conn, "status_events", **event | change)

    assert await conn.fetchval("select count(*) from status_events") == 2


async def test_a_campaign_has_a_customer_once(conn: Connection) -> None:
    await add_campaign(conn)
    await add_campaign(conn, id="summer")
    await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id="491700000001")
    await insert(conn, "broadcast_recipients", campaign_id="summer", wa_id="491700000001")

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id="491700000001")


async def test_a_dead_letter_with_a_key_is_stored_once(conn: Connection) -> None:
    row = NEEDED["dead_letter_queue"]
    await insert(conn, "dead_letter_queue", **row)
    await insert(conn, "dead_letter_queue", **row)
    await insert(conn, "dead_letter_queue", **row, dedupe_key="one")

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(conn, "dead_letter_queue", **row, dedupe_key="one")


@pytest.mark.parametrize("field", ["wamid", "wa_id"])
async def test_a_dead_letter_is_stored_however_long_its_ids_are(conn: Connection, field: str) -> None:
    incompressible = "".join(chr(0x4E00 + place * 7919 % 20_000) for place in range(10_000))

    await insert(
        conn, "dead_letter_queue", **NEEDED["dead_letter_queue"], payload=f'{{"{field}": "{incompressible}"}}'
    )

    assert await conn.fetchval("select payload ->> $1 from dead_letter_queue", field) == incompressible


async def test_a_message_is_deferred_once(conn: Connection) -> None:
    row: dict[str, object] = {
        "queue": "outbound-sender", "exchange": "wa.outbound", "routing_key": "reply.1", "body": b"{}",
        "reason": "rate_limit", "not_before": NOON, "message_id": await add_message(conn),
    }  # fmt: skip
    await insert(conn, "deferred_messages", **row)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert(conn, "deferred_messages", **row)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("message_tracking", "mapping_id", UUID(int=1)),
        ("message_tracking", "campaign_id", "none"),
        ("message_tracking", "replay_of", UUID(int=1)),
        ("send_attempts", "message_id", UUID(int=1)),
        ("status_events", "message_id", UUID(int=1)),
        ("broadcast_recipients", "message_id", UUID(int=1)),
        ("dead_letter_queue", "message_id", UUID(int=1)),
        ("dead_letter_queue", "replay_of", UUID(int=1)),
    ],
)
async def test_a_reference_to_nothing_is_refused(
    conn: Connection, table: str, column: str, value: object
) -> None:
    row = await complete(conn, table)

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await insert(conn, table, **row | {column: value})


async def test_a_mapping_takes_its_aliases_messages_and_attempts_along(conn: Connection) -> None:
    mapping_id = await add_mapping(conn)
    message_id = await add_message(conn, mapping_id=mapping_id)
    await insert(conn, "conversation_aliases", conversation_id="c1", mapping_id=mapping_id)
    await insert(conn, "send_attempts", message_id=message_id, attempt=1)

    await conn.execute("delete from conversation_mappings")

    for table in ("conversation_aliases", "message_tracking", "send_attempts"):
        assert await conn.fetchval(f"select count(*) from {table}") == 0


async def test_a_message_that_goes_leaves_its_events_recipients_and_dead_letters(conn: Connection) -> None:
    message_id = await add_message(conn)
    await add_campaign(conn)
    await insert(conn, "status_events", **NEEDED["status_events"], message_id=message_id)
    await insert(conn, "broadcast_recipients", **NEEDED["broadcast_recipients"], message_id=message_id)
    await insert(conn, "dead_letter_queue", **NEEDED["dead_letter_queue"], message_id=message_id)

    await conn.execute("delete from message_tracking")

    for table in ("status_events", "broadcast_recipients", "dead_letter_queue"):
        assert await conn.fetch(f"select message_id from {table}") == [(None,)]


async def test_ids_made_later_sort_later(conn: Connection) -> None:
    first = await conn.fetchval("select time_ordered_uuid()")
    await conn.execute("select pg_sleep(0.002)")
    second = await conn.fetchval("select time_ordered_uuid()")

    assert first < second
    assert first.version == 7
    assert first.variant == "specified in RFC 4122"


async def test_every_time_has_a_zone(conn: Connection) -> None:
    naive = await conn.fetch(
        "select table_name, column_name from information_schema.columns where table_schema = 'public' "
        "and data_type in ('timestamp without time zone', 'date', 'time without time zone')"
    )

    assert naive == []


async def test_every_foreign_key_has_an_index_that_begins_with_it(conn: Connection) -> None:
    unindexed = await conn.fetch("""
        select k.conrelid::regclass::text as table, k.conname from pg_constraint k
        where k.contype = 'f' and not exists (
            select from pg_index i where i.indrelid = k.conrelid and i.indkey[0] = k.conkey[1])
    """)

    assert unindexed == []
