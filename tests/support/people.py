"""A person with rows in every table that may hold something of them, and the whole database to compare."""

import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from tests.support.rows import NOON, Connection, add_mapping, add_message, insert

#: Tables that hold nothing of customers.
IMPERSONAL: Final = frozenset(
    {
        "audit_log",
        "broadcast_campaigns",
        "business_numbers",
        "circuit_breakers",
        "leases",
        "products",
        "rows_set_aside",
        "schema_migrations",
        "suppressions",
    }
)
_COLUMNS: Final = """
select c.relname, a.attname, a.atttypid = 'bytea'::regtype as is_bytes
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""

Snapshot = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Person:
    """Whose rows are added; `tag` is in every id of theirs."""

    phone: str
    user_id: str
    tag: str


async def take_snapshot(conn: Connection) -> Snapshot:
    """Every row of every table as one text, bytes readable."""
    expressions: dict[str, list[str]] = {}
    for table, column, is_bytes in await conn.fetch(_COLUMNS):
        text = f"encode({column}, 'escape')" if is_bytes else f"{column}::text"
        expressions.setdefault(table, []).append(f"coalesce({text}, '')")
    snapshot: Snapshot = {}
    for table, texts in expressions.items():
        rows = await conn.fetch(f"select concat_ws(' | ', {', '.join(texts)}) as line from {table}")
        snapshot[table] = sorted(row["line"] for row in rows)
    return snapshot


async def add_person(conn: Connection, person: Person, campaign: str) -> None:
    """Rows of every kind. The campaign is there."""
    phone, tag = person.phone, person.tag
    for address, kind in ((phone, "phone"), (person.user_id, "bsuid")):
        await insert(conn, "customer_addresses", address=address, phone=phone, kind=kind, source="inbound")
    await insert(conn, "customer_profiles", phone=phone, name=f"name {tag}", opt_in_marketing=True)
    await insert(conn, "customer_profiles", phone=person.user_id, name=f"name {tag}")
    said = {"kind": "marketing", "value": True, "source": "shop", "occurred_at": NOON, "evidence": tag}
    await insert(conn, "consent_events", phone=phone, **said)
    await _add_shopping(conn, person)
    closed = await add_mapping(conn, wa_id=phone, status="closed", conversation_id=f"first-{tag}")
    mapping = await add_mapping(conn, wa_id=phone, user_id=person.user_id, conversation_id=f"second-{tag}")
    await add_mapping(conn, wa_id=person.user_id, phone_number_id="2002", contact_name=tag)
    await insert(conn, "conversation_aliases", conversation_id=f"alias-{tag}", mapping_id=mapping)
    await add_message(
        conn, mapping_id=closed, wamid=f"wamid.in.{tag}", direction="INBOUND", status="received"
    )
    await add_message(conn, mapping_id=mapping, client_message_id=f"app-{tag}")
    message = await add_message(
        conn,
        mapping_id=mapping,
        wamid=f"wamid.out.{tag}",
        genesys_message_id=f"genesys-{tag}",
        client_message_id=f"campaign:{campaign}:{phone}",
        campaign_id=campaign,
        metadata=json.dumps({"name": tag}),
    )
    place = {"queue": "outbound-sender", "exchange": "wa.outbound", "routing_key": f"reply.{phone}"}
    body = json.dumps({"wa_id": phone, "message_text": f"text {tag}"}).encode()
    await insert(conn, "outbound_bodies", message_id=message, body=body, **place)
    await insert(conn, "send_attempts", message_id=message, attempt=1, wamid=f"wamid.lost.{tag}")
    await insert(
        conn,
        "broadcast_recipients",
        campaign_id=campaign,
        wa_id=phone,
        variables=json.dumps({"name": tag}),
        message_id=message,
    )
    await _add_events(conn, person, message)
    await _add_deferred(conn, person, message, place)
    letters = await _add_dead_letters(conn, person, message)
    await _add_outbox(conn, person, mapping, message, letters[0])


async def _add_shopping(conn: Connection, person: Person) -> None:
    """What a shop said of them, under either address."""
    stamp = {"source_updated_at": NOON, "source_hash": b""}
    cart: dict[str, Any] = {"items_hash": b"", "items": json.dumps([{"product_name": person.tag}])}
    for address in (person.phone, person.user_id):
        where = {"shop_id": "default", "customer_phone": address}
        await insert(conn, "carts", cart_id=f"cart {address}", **where, **cart, **stamp)
        await insert(conn, "orders", order_id=f"order {address}", **where)
        notice = {"kind": "request", "notification_type": "news", "category": "utility", **where}
        notice_id = await insert(conn, "notification_log", dedupe_key=f"request:{address}", **notice)
        await insert(conn, "reengagement", id=notice_id, campaign_type="cart_reminder", **where)
        await insert(conn, "product_views", product_id="7", viewed_at=NOON, **where)
    counted = {"counted_phone": person.phone, "counted_orders": 1}
    await insert(conn, "orders", shop_id="default", order_id=f"theirs {person.tag}", **counted)


async def _add_events(conn: Connection, person: Person, message: UUID) -> None:
    tag = person.tag
    said = json.dumps({"recipient_id": person.phone})
    events: list[dict[str, Any]] = [
        {"wamid": f"wamid.out.{tag}", "message_id": message, "details": said},
        {"wamid": f"wamid.lost.{tag}"},
        {"callback_data": f"{message}:1"},
        {"genesys_message_id": f"genesys-{tag}", "source": "genesys"},
        {"wamid": f"wamid.unknown.{tag}", "details": said},
        {"wamid": f"wamid.raw.{tag}", "raw_body": b'{"recipient_id": %s}' % person.phone.encode()},
        {"wamid": f"wamid.sent.{tag}", "raw_headers": json.dumps({"x-customer": person.phone})},
    ]
    for event in events:
        await insert(conn, "status_events", status="sent", occurred_at=NOON, **event)


async def _add_deferred(conn: Connection, person: Person, message: UUID, place: dict[str, str]) -> None:
    rows: list[dict[str, Any]] = [
        {"message_id": message, "body": f"of a message, {person.tag}".encode()},
        {"customer": person.phone, "body": f"of a customer, {person.tag}".encode()},
        {"body": json.dumps({"wa_id": f"+{person.phone}"}).encode()},
    ]
    for row in rows:
        await insert(conn, "deferred_messages", reason="rate_limit", not_before=NOON, **place, **row)


async def _add_dead_letters(conn: Connection, person: Person, message: UUID) -> list[UUID]:
    phone, tag = person.phone, person.tag
    webhook = {"entry": [{"changes": [{"value": {"messages": [{"from": phone}]}}]}], "tag": tag}
    payloads: list[dict[str, Any]] = [
        {"wa_id": phone, "message_text": f"text {tag}"},
        {"wa_id": f"+{phone}"},
        {"wa_id": int(phone)},
        {"wa_id": person.user_id},
        {"wamid": f"wamid.out.{tag}", "status": "processed"},
        {"conversation_id": f"alias-{tag}"},
        {"whatsapp_message_id": f"wamid.in.{tag}"},
        {"genesys_message_id": f"genesys-{tag}"},
        {"client_message_id": f"app-{tag}"},
        {"client_message_id": f"campaign:winter:{phone}"},
        {"callback_data": f"{message}:1"},
        webhook,
    ]
    rows: list[dict[str, Any]] = [
        {"payload": json.dumps(payload), "raw_body": json.dumps(payload).encode()} for payload in payloads
    ]
    rows += [
        {"raw_body": f"about a message of {tag}".encode(), "message_id": message},
        {"raw_body": f'{{"wa_id": "{phone}", "message_text": "cut'.encode()},
        {"raw_body": b"\xff\xfe" + phone.encode() + b"\x00\xe9"},
        {"raw_body": b"[]", "payload": "[]", "routing_key": phone},
        {"raw_body": b"{}", "payload": "{}", "routing_key": f"reply.{phone}"},
        {"raw_body": b"{}", "payload": "{}", "metadata": json.dumps({"message_id": phone})},
        {"raw_body": b"{}", "payload": "{}", "headers": json.dumps({"x-customer": phone})},
    ]
    return [
        await insert(conn, "dead_letter_queue", source_queue="outbound-sender", reason="expired", **row)
        for row in rows
    ]


async def _add_outbox(conn: Connection, person: Person, mapping: UUID, message: UUID, letter: UUID) -> None:
    events: list[tuple[str, UUID, dict[str, Any], bool]] = [
        ("message.updated", message, {"tag": person.tag}, False),
        ("conversation.closed", mapping, {"conversation_id": f"second-{person.tag}"}, False),
        ("outbound.failed", uuid4(), {"wa_id": person.phone}, False),
        ("outbound.failed", uuid4(), {"message_id": str(message)}, False),
        ("conversation.closed", uuid4(), {"mapping_id": str(mapping)}, False),
        ("outbound.failed", uuid4(), {"wamid": f"wamid.out.{person.tag}"}, False),
        ("deadletter.stored", letter, {"original_payload": {"wa_id": person.phone}}, False),
        ("deadletter.stored", uuid4(), {"original_payload": {"from": person.phone}}, True),
    ]
    for event_type, aggregate, payload, published in events:
        await insert(
            conn,
            "outbox_events",
            aggregate_id=str(aggregate),
            aggregate_type="message",
            event_type=event_type,
            payload=json.dumps(payload),
            published_at=NOON if published else None,
        )
