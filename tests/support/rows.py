"""Rows for tests, with what each table needs and nothing more."""

from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)

#: What a row of each table needs beside its references.
NEEDED: dict[str, dict[str, object]] = {
    "conversation_mappings": {"wa_id": "491700000001", "phone_number_id": "1001"},
    "business_numbers": {"phone_number_id": "1001"},
    "circuit_breakers": {"service": "1001"},
    "broadcast_campaigns": {"id": "summer"},
    "broadcast_recipients": {"campaign_id": "spring", "wa_id": "491700000001"},
    "dead_letter_queue": {"source_queue": "status-updater", "reason": "expired", "raw_body": b"{"},
    "send_attempts": {"attempt": 1},
    "status_events": {"status": "sent", "occurred_at": NOON},
    "message_tracking": {"direction": "OUTBOUND", "status": "queued"},
}


async def insert(conn: Connection, table: str, /, **values: object) -> Any:
    """Inserts one row and gives its first column."""
    names = ", ".join(values)
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    return await conn.fetchval(
        f"insert into {table} ({names}) values ({places}) returning *", *values.values()
    )


async def add_mapping(conn: Connection, **values: object) -> UUID:
    row: dict[str, object] = {"wa_id": "491700000001", "phone_number_id": "1001"} | values
    mapping_id: UUID = await insert(conn, "conversation_mappings", **row)
    return mapping_id


async def add_message(conn: Connection, **values: object) -> UUID:
    row: dict[str, object] = {"direction": "OUTBOUND", "status": "queued"} | values
    if "mapping_id" not in row:
        row["mapping_id"] = await add_mapping(conn, wa_id=str(uuid4().int)[:12])
    message_id: UUID = await insert(conn, "message_tracking", **row)
    return message_id


async def add_campaign(conn: Connection, **values: object) -> str:
    row: dict[str, object] = {"id": "spring"} | values
    campaign_id: str = await insert(conn, "broadcast_campaigns", **row)
    return campaign_id


async def only_row(conn: Connection, query: str, *arguments: object) -> Any:
    """The one row of a query."""
    rows = await conn.fetch(query, *arguments)
    assert len(rows) == 1, query
    return rows[0]


async def complete(conn: Connection, table: str) -> dict[str, object]:
    """What a row of `table` needs, its references included."""
    row = dict(NEEDED[table])
    match table:
        case "broadcast_recipients":
            await add_campaign(conn)
        case "send_attempts":
            row["message_id"] = await add_message(conn)
        case "message_tracking":
            row["mapping_id"] = await add_mapping(conn)
        case _:
            pass
    return row
