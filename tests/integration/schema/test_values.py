"""The values that the database itself refuses, and those it takes, whatever the code above it believes."""

import asyncpg
import pytest

from tests.support.rows import NOON, Connection, add_campaign, add_mapping, add_message, complete, insert

USER_ID = "DE." + "a" * 30

STATES = {
    ("conversation_mappings", "status"): ("active", "closed", "expired"),
    ("business_numbers", "state"): ("active", "paused"),
    ("circuit_breakers", "state"): ("closed", "open", "half_open"),
    ("broadcast_campaigns", "status"): ("draft", "scheduled", "running", "paused", "cancelled", "done"),
    ("broadcast_recipients", "status"): (
        "pending", "queued", "sent", "delivered", "read", "failed", "skipped",
    ),
    ("dead_letter_queue", "status"): ("pending", "replaying", "replayed", "dismissed"),
    ("dead_letter_queue", "reason"): (
        "lock_timeout", "mapping_not_found", "invalid_payload", "state_violation", "mapping_status_expired",
        "mapping_status_closed", "database_error", "invalid_media_url", "send_rejected", "send_ambiguous",
        "max_retries_exceeded", "expired", "unrouted", "delivery_limit", "unexpected_error",
    ),
    ("send_attempts", "outcome"): ("sent", "failed", "ambiguous", "abandoned", None),
    ("status_events", "outcome"): (
        "applied", "implied", "duplicate", "late", "rejected", "unmatched", "ignored", None,
    ),
    ("message_tracking", "lane"): ("reply", "utility", "bulk", None),
}  # fmt: skip


@pytest.mark.parametrize("wa_id", ["12345", "4" * 20, "DE.8842", "DE.ENT.77", USER_ID, "DE." + "a" * 157])
async def test_both_forms_of_an_address_are_taken(conn: Connection, wa_id: str) -> None:
    await add_mapping(conn, wa_id=wa_id)
    await insert(conn, "customer_profiles", phone=wa_id)
    await add_campaign(conn)
    await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id=wa_id)

    assert (
        await conn.fetchval("select wa_id from conversation_mappings join broadcast_recipients using (wa_id)")
        == wa_id
    )


@pytest.mark.parametrize(
    "wa_id",
    [
        *(
            "",
            "1234",
            "4" * 21,
            "+491700000001",
            "49170 0000001",
            "49170000000a",
            "491700000001\n",
            "٤٩١٧٠٠٠٠",
        ),
        *(
            "de.8842",
            "DE.",
            "D.88",
            "DEU.88",
            "DE.88-42",
            "DE.8842\n",
            "DE." + "a" * 158,
            "DE.ENT.",
            "ENT.DE.1",
        ),
    ],
)
@pytest.mark.parametrize("table", ["conversation_mappings", "customer_profiles", "broadcast_recipients"])
async def test_no_other_form_of_an_address_is_taken(conn: Connection, table: str, wa_id: str) -> None:
    await add_campaign(conn)
    row: dict[str, dict[str, object]] = {
        "conversation_mappings": {"wa_id": wa_id, "phone_number_id": "1001"},
        "customer_profiles": {"phone": wa_id},
        "broadcast_recipients": {"wa_id": wa_id, "campaign_id": "spring"},
    }

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(conn, table, **row[table])


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [(table, column, value) for (table, column), values in STATES.items() for value in values],
)
async def test_every_state_is_taken(conn: Connection, table: str, column: str, value: str | None) -> None:
    await insert(conn, table, **(await complete(conn, table)) | {column: value})

    stored = await conn.fetch(f"select {column} from {table}")

    assert value in [row[column] for row in stored]


@pytest.mark.parametrize(("table", "column"), STATES)
@pytest.mark.parametrize("value", ["", "ACTIVE", "unknown"])
async def test_no_other_state_is_taken(conn: Connection, table: str, column: str, value: str) -> None:
    row = await complete(conn, table)

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(conn, table, **row | {column: value})


OUTBOUND = {"queued", "sent", "delivered", "read", "failed"}
INBOUND = {"received", "processed", "failed"}


@pytest.mark.parametrize("direction", ["INBOUND", "OUTBOUND"])
@pytest.mark.parametrize("status", sorted(OUTBOUND | INBOUND))
async def test_a_message_has_a_status_of_its_direction_only(
    conn: Connection, direction: str, status: str
) -> None:
    if status in (OUTBOUND if direction == "OUTBOUND" else INBOUND):
        await add_message(conn, direction=direction, status=status)
    else:
        with pytest.raises(asyncpg.CheckViolationError):
            await add_message(conn, direction=direction, status=status)


@pytest.mark.parametrize("direction", ["inbound", "BOTH", ""])
async def test_a_message_has_one_of_two_directions(conn: Connection, direction: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await add_message(conn, direction=direction, status="failed")


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("broadcast_campaigns", "batch_size", 0),
        ("broadcast_campaigns", "batch_delay_ms", -1),
        ("circuit_breakers", "failures", -1),
        ("circuit_breakers", "successes", -1),
        ("circuit_breakers", "probes", -1),
        ("send_attempts", "attempt", 0),
    ],
)
async def test_a_count_out_of_range_is_refused(conn: Connection, table: str, column: str, value: int) -> None:
    row = await complete(conn, table)

    with pytest.raises(asyncpg.CheckViolationError):
        await insert(conn, table, **row | {column: value})


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("conversation_mappings", "wa_id"),
        ("conversation_mappings", "phone_number_id"),
        ("message_tracking", "mapping_id"),
        ("message_tracking", "direction"),
        ("message_tracking", "status"),
        ("status_events", "status"),
        ("dead_letter_queue", "reason"),
        ("dead_letter_queue", "raw_body"),
    ],
)
async def test_what_must_be_there_must_be_there(conn: Connection, table: str, column: str) -> None:
    row = await complete(conn, table)

    with pytest.raises(asyncpg.NotNullViolationError):
        await insert(conn, table, **row | {column: None})


async def test_a_row_needs_only_what_the_interface_says(conn: Connection) -> None:
    mapping = await insert(conn, "conversation_mappings", wa_id="491700000001", phone_number_id="1001")
    needed: dict[str, dict[str, object]] = {
        "message_tracking": {"mapping_id": mapping, "direction": "INBOUND", "status": "received"},
        "status_events": {"status": "sent"},
        "broadcast_campaigns": {"id": "spring"},
        "broadcast_recipients": {"campaign_id": "spring", "wa_id": "491700000001"},
        "customer_profiles": {"phone": "491700000001"},
        "business_numbers": {"phone_number_id": "1001"},
        "circuit_breakers": {"service": "1001"},
        "outbox_events": {},
        "dead_letter_queue": {},
    }
    for table, row in needed.items():
        names = f"({', '.join(row)}) values ({', '.join(f'${n}' for n in range(1, len(row) + 1))})"
        await conn.execute(f"insert into {table} {names if row else 'default values'}", *row.values())

    counts = {table: await conn.fetchval(f"select count(*) from {table}") for table in needed}

    assert counts == dict.fromkeys(needed, 1)


async def test_recipients_may_be_written_before_their_campaign(conn: Connection) -> None:
    for place in range(2):
        await insert(conn, "broadcast_recipients", campaign_id="summer", wa_id=f"49170000000{place}")

    assert await conn.fetchval("select status from broadcast_campaigns where id = 'summer'") == "draft"


async def test_a_queued_message_may_carry_a_wamid_and_an_event_any_status(conn: Connection) -> None:
    await add_message(conn, wamid="wamid.A")
    await insert(conn, "status_events", status="held_for_quality_assessment", occurred_at=NOON)

    assert await conn.fetchval("select status from message_tracking where wamid = 'wamid.A'") == "queued"
    assert await conn.fetchval("select status from status_events") == "held_for_quality_assessment"
