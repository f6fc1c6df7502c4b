"""Persons of several addresses: whose a message is, where it goes, what answers and statuses tell of them."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from shared.amqp.disposition import Defer
from shared.durable.deferral import DeferralStore
from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import follow
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.leftovers import has_in_hand
from tests.support.rows import add_mapping, add_message, insert, only_row
from tests.support.sending import NUMBER, Sender, text
from tests.support.waiting import until
from tests.unit.test_consuming import delivery

#: One phone in two notations; the first is WhatsApp's own.
PHONES: Final = {
    "brazil": ("553187654321", "5531987654321"),
    "brazil, with nine": ("5511987654321", "551187654321"),
    "mexico": ("5215512345678", "525512345678"),
    "argentina": ("5491123456789", "541123456789"),
}
PLATFORMS, DIALLED = PHONES["brazil"]
USER_ID: Final = "BR.8842"
both = pytest.mark.parametrize(("platforms", "dialled"), PHONES.values(), ids=PHONES)


async def know(sender: Sender, address: str, phone: str, **values: Any) -> None:
    kind = "phone" if address.isdigit() else "bsuid"
    known = {"address": address, "phone": phone, "kind": kind, "source": "inbound"} | values
    await insert(sender.cluster.conn, "customer_addresses", **known)


async def mapping(sender: Sender) -> Any:
    return await only_row(sender.cluster.conn, "select * from conversation_mappings where status = 'active'")


async def is_named(sender: Sender, **expected: str) -> bool:
    row = await mapping(sender)
    return {name: row[name] for name in expected} == expected


async def sent_to(sender: Sender) -> list[str]:
    return [item["to"] for item in await sender.sandbox.messages()]


def login(client_id: str = "c1", customer: str = USER_ID) -> dict[str, Any]:
    template = {"name": "login", "language": "en"}
    return text(client_id, customer, message_text=None, template=template, category="authentication")


@both
async def test_two_notations_are_one_customer_before_any_evidence(
    sender: Sender, platforms: str, dialled: str
) -> None:
    async with sender.running():
        await asyncio.gather(
            *(sender.ask(text(f"c{place}", (platforms, dialled)[place % 2])) for place in range(10))
        )
        await until(lambda: _has_told(sender, "outbound.sent", 10))

    told = sender.cluster.told("outbound.sent")
    assert {item["customer"] for item in told} == {platforms}
    assert len({item["mapping_id"] for item in told}) == 1
    assert (await mapping(sender))["customer"] == platforms


@both
async def test_the_answers_notation_is_where_the_next_message_goes(
    sender: Sender, platforms: str, dialled: str
) -> None:
    async with sender.running():
        await sender.ask(text("c1", dialled))
        await until(lambda: _has_mapping(sender, platforms))
        await sender.ask(text("c2", dialled))
        await sender.until_status("sent", "c2")

    assert await sent_to(sender) == [dialled, platforms]
    named = (await mapping(sender))["user_id"]
    rows = await sender.cluster.conn.fetch(
        "select address from customer_addresses where phone = $1", platforms
    )
    assert {row["address"] for row in rows} >= {platforms, named}


async def test_a_later_conversation_begins_as_the_platform_named_its_customer(sender: Sender) -> None:
    conn = sender.cluster.conn
    async with sender.running():
        await sender.ask(text("c1", DIALLED))
        await until(lambda: _has_mapping(sender, PLATFORMS))
        before = await mapping(sender)
        await conn.execute("update conversation_mappings set status = 'expired'")
        await sender.ask(text("c2", DIALLED))
        await sender.until_status("sent", "c2")

    assert await sent_to(sender) == [DIALLED, PLATFORMS]
    now = await mapping(sender)
    assert now["id"] != before["id"]
    assert (now["wa_id"], now["user_id"]) == (PLATFORMS, before["user_id"])


async def test_a_message_to_an_id_goes_to_its_person_where_they_were_named_last(sender: Sender) -> None:
    await add_mapping(sender.cluster.conn, wa_id=PLATFORMS, customer=PLATFORMS, user_id=USER_ID)
    await know(sender, USER_ID, PLATFORMS)
    async with sender.running():
        await sender.ask(text("c1", USER_ID))
        await sender.until_status("sent")
        await until(lambda: _has_told(sender, "outbound.sent", 1))

    assert await sent_to(sender) == [PLATFORMS]
    [told] = sender.cluster.told("outbound.sent")
    assert (told["wa_id"], told["customer"]) == (PLATFORMS, PLATFORMS)


async def test_a_reply_goes_where_its_customer_was_named_last(sender: Sender) -> None:
    """They are known by their phone, and wrote under their id."""
    row = {"wa_id": USER_ID, "customer": PLATFORMS, "user_id": USER_ID, "conversation_id": "talk"}
    await add_mapping(sender.cluster.conn, **row)
    await know(sender, USER_ID, PLATFORMS)
    async with sender.running():
        await sender.ask(reply("c1", "talk"))
        await sender.until_status("sent")

    assert await sent_to(sender) == [USER_ID]


async def test_a_reply_goes_to_an_id_alone_as_a_recipient(sender: Sender) -> None:
    await add_mapping(sender.cluster.conn, wa_id=USER_ID, customer=USER_ID, conversation_id="talk")
    async with sender.running():
        await sender.ask(reply("c1", "talk"))
        await sender.until_status("sent")

    [accepted] = await sender.sandbox.messages()
    assert accepted["to"] == USER_ID


async def test_a_login_code_fails_where_no_phone_is_known_before_anything_is_asked(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(login())
        headers = await sender.until_dead("send_rejected")
        await until(lambda: _has_told(sender, "outbound.failed", 1))

    assert "phone" in headers["x-wabus-error"]
    [told] = sender.cluster.told("outbound.failed")
    assert (told["error"]["code"], told["customer"]) == ("phone_needed", USER_ID)
    assert await sender.attempts() == []
    assert await sent_to(sender) == []


async def test_a_login_code_goes_to_the_phone_of_who_writes_under_an_id(sender: Sender) -> None:
    await add_mapping(sender.cluster.conn, wa_id=USER_ID, customer=PLATFORMS, user_id=USER_ID)
    await know(sender, USER_ID, PLATFORMS)
    async with sender.running():
        await sender.ask(login())
        await sender.until_status("sent")

    assert await sent_to(sender) == [PLATFORMS]


@pytest.mark.parametrize(("customer", "status"), [(PLATFORMS, "sent"), (USER_ID, "failed")])
async def test_what_the_platform_takes_for_phones_only_is_sent_to_one(
    sender: Sender, customer: str, status: str
) -> None:
    await add_mapping(sender.cluster.conn, wa_id=USER_ID, customer=customer, user_id=USER_ID)
    if customer != USER_ID:
        await know(sender, USER_ID, customer)
    await sender.sandbox.change(fault={"code": 131062, "times": 1})
    async with sender.running():
        await sender.ask(text("c1", USER_ID))
        row = await sender.until_status(status)

    assert await sent_to(sender) == ([PLATFORMS] if status == "sent" else [])
    attempts = [("failed", "131062"), ("sent", None)]
    assert await sender.attempts() == (attempts if status == "sent" else attempts[:1])
    assert row["error_code"] == (None if status == "sent" else "phone_needed")


@both
async def test_marketing_is_not_sent_to_who_opted_out_under_another_notation(
    sender: Sender, platforms: str, dialled: str
) -> None:
    await insert(sender.cluster.conn, "customer_profiles", phone=platforms, opt_in_marketing=False)
    await know(sender, USER_ID, platforms)
    async with sender.running():
        await sender.ask(text("c1", dialled), "bulk")
        await sender.ask(text("c2", USER_ID), "bulk")
        for client_id in ("c1", "c2"):
            assert (await sender.until_status("failed", client_id))["error_code"] == "opted_out"

    assert await sent_to(sender) == []


async def test_what_the_platform_tells_of_an_opt_out_is_the_persons(sender: Sender) -> None:
    platforms, dialled = "553187654908", "5531987654908"
    async with sender.running():
        await sender.ask(text("c1", dialled), "bulk")
        await sender.until_status("failed")

    profile = await only_row(sender.cluster.conn, "select phone, opt_in_marketing from customer_profiles")
    assert tuple(profile) == (platforms, False)


@both
async def test_a_status_names_the_notation_and_the_id_of_who_got_it(
    sender: Sender, platforms: str, dialled: str
) -> None:
    conn = sender.cluster.conn
    mapping_id = await add_mapping(conn, wa_id=dialled, customer=platforms)
    await insert(
        conn,
        "message_tracking",
        mapping_id=mapping_id,
        direction="OUTBOUND",
        status="sent",
        wamid="w1",
        lane="reply",
    )
    async with sender.cluster.running("status-updater"):
        await tell(sender, recipient_id=platforms, recipient_user_id=USER_ID)
        await until(lambda: is_named(sender, wa_id=platforms, user_id=USER_ID))

    owner = await conn.fetchval("select phone from customer_addresses where address = $1", USER_ID)
    assert owner == platforms


async def test_a_status_joins_an_id_to_its_phone(sender: Sender) -> None:
    conn = sender.cluster.conn
    by_id = await add_mapping(conn, wa_id=USER_ID, customer=USER_ID, conversation_id="by-id")
    await add_mapping(conn, wa_id=PLATFORMS, customer=PLATFORMS, conversation_id="by-phone")
    await insert(conn, "customer_profiles", phone=USER_ID, opt_in_marketing=False)
    await insert(
        conn,
        "message_tracking",
        mapping_id=by_id,
        direction="OUTBOUND",
        status="sent",
        wamid="w1",
        lane="reply",
    )
    async with sender.cluster.running("status-updater", "status-updater"):
        for status in ("delivered", "read"):
            await tell(sender, status, recipient_id=PLATFORMS, recipient_user_id=USER_ID)
        await until(lambda: is_only(sender))
        await until(lambda: _has_told(sender, "customer.merged", 1))
        await until(lambda: _status_is(sender, "read"))

    assert await conn.fetchval("select opt_in_marketing from customer_profiles") is False
    [merged] = sender.cluster.told("customer.merged")
    assert (merged["customer"], merged["merged"], merged["evidence"]) == (PLATFORMS, USER_ID, "status")


async def test_a_status_of_a_group_or_of_a_foreign_message_tells_nothing(sender: Sender) -> None:
    conn = sender.cluster.conn
    mapping_id = await add_mapping(conn, wa_id=PLATFORMS, customer=PLATFORMS)
    await insert(
        conn,
        "message_tracking",
        mapping_id=mapping_id,
        direction="OUTBOUND",
        status="sent",
        wamid="w1",
        lane="reply",
    )
    async with sender.cluster.running("status-updater"):
        await tell(sender, recipient_id="120363021234567890", recipient_type="group")
        await tell(sender, "delivered", wamid="w2", recipient_id="491700000002", recipient_user_id="DE.7")
        await tell(sender, "read", recipient_id="no address", recipient_user_id="491700000003")
        await until(lambda: _status_is(sender, "read"))

    known = await conn.fetch("select address, source from customer_addresses")
    assert [tuple(row) for row in known] == [(PLATFORMS, "rule")]
    assert (await mapping(sender))["wa_id"] == PLATFORMS


async def test_replies_that_wait_follow_their_person_through_a_join(sender: Sender) -> None:
    """The conversation of the id is joined into that of the phone while two of its replies are stored."""
    conn = sender.cluster.conn
    await add_mapping(conn, wa_id=USER_ID, customer=USER_ID, conversation_id="by-id")
    await add_mapping(conn, wa_id=PLATFORMS, customer=PLATFORMS, conversation_id="by-phone")
    await insert(conn, "business_numbers", phone_number_id=NUMBER, state="paused")
    async with sender.running():
        for place in (1, 2):
            await sender.ask(reply(f"c{place}", "by-id"))
        await sender.until_deferred("number_paused")
        await sender.until_deferred("earlier_message")
        await join(sender, USER_ID, PLATFORMS)
        await sender.ask(reply("c3", "by-phone"))
        await sender.until_deferred("earlier_message", 2)
        stored = await conn.fetch("select distinct customer from deferred_messages")
        await conn.execute("update business_numbers set state = 'active'")
        await sender.release("number_paused")
        for place in (1, 2, 3):
            if place > 1:
                await until(lambda: _is_due(sender))
                await sender.release("earlier_message")
            await sender.until_status("sent", f"c{place}")

    assert [row["customer"] for row in stored] == [PLATFORMS]
    assert await sent_to(sender) == [PLATFORMS] * 3
    ids = [item["callback_data"].partition(":")[0] for item in await sender.sandbox.messages()]
    assert ids == [str((await sender.row(f"c{place}"))["id"]) for place in (1, 2, 3)]


async def test_what_is_put_off_after_a_join_waits_under_the_persons_name(cluster: Cluster) -> None:
    """It was in hand under the old name while the two became one."""
    mapping_id = await add_mapping(cluster.conn, wa_id=USER_ID, customer=PLATFORMS)
    message_id = await add_message(cluster.conn, mapping_id=mapping_id, lane="reply")
    database = Database(cluster.database_url, size=1)
    put_off = Defer("number_paused", 0.0, message_id, NUMBER, USER_ID, "reply")
    try:
        await DeferralStore(database, cluster.durations).store([(delivery(), put_off)])
    finally:
        await database.close()

    row = await only_row(cluster.conn, "select customer, message_id from deferred_messages")
    assert tuple(row) == (PLATFORMS, message_id)


async def test_a_reply_that_is_tracked_while_its_conversation_is_joined_ends_in_the_one_that_stays(
    sender: Sender,
) -> None:
    conn = sender.cluster.conn
    await add_mapping(conn, wa_id=USER_ID, customer=USER_ID, conversation_id="by-id")
    await add_mapping(conn, wa_id=PLATFORMS, customer=PLATFORMS, conversation_id="by-phone")
    database = Database(sender.cluster.database_url, size=1)
    try:
        async with sender.running():
            async with database.transaction() as connection:
                await follow(connection, evidence(USER_ID, PLATFORMS), PLATFORMS)
                await sender.ask(reply("c1", "by-id"))
                await until(lambda: has_in_hand(sender.cluster))
            await sender.until_status("sent")
    finally:
        await database.close()

    assert (await sender.row())["mapping_id"] == (await mapping(sender))["id"]
    assert await sent_to(sender) == [PLATFORMS]


def reply(client_id: str, conversation_id: str) -> dict[str, Any]:
    return {"client_message_id": client_id, "conversation_id": conversation_id, "message_text": "hello"}


def evidence(address: str, other: str) -> AddressEvidence:
    return AddressEvidence(address, other, "operator", datetime.now(UTC), "trace-1")


async def join(sender: Sender, address: str, other: str) -> None:
    database = Database(sender.cluster.database_url, size=1)
    try:
        async with database.transaction() as connection:
            await follow(connection, evidence(address, other), other)
    finally:
        await database.close()


async def tell(sender: Sender, status: str = "delivered", wamid: str = "w1", **fields: Any) -> None:
    said = {"wamid": wamid, "status": status, "timestamp": "2026-01-15T10:00:00Z"} | fields
    await sender.cluster.publish("wa.status", "whatsapp", said)


async def is_only(sender: Sender) -> bool:
    """One active conversation, and all is in it."""
    rows = await sender.cluster.conn.fetch(
        "select customer, status from conversation_mappings order by status"
    )
    return [tuple(row) for row in rows] == [(PLATFORMS, "active"), (PLATFORMS, "closed")]


async def _has_told(sender: Sender, event_type: str, count: int) -> bool:
    return len(sender.cluster.told(event_type)) == count


async def _has_mapping(sender: Sender, wa_id: str) -> bool:
    found = "select exists (select from conversation_mappings where wa_id = $1)"
    return bool(await sender.cluster.conn.fetchval(found, wa_id))


async def _status_is(sender: Sender, status: str) -> bool:
    found: str = await sender.cluster.conn.fetchval("select status from message_tracking")
    return found == status


async def _is_due(sender: Sender) -> bool:
    due = "select exists (select from deferred_messages where not_before <= now())"
    return bool(await sender.cluster.conn.fetchval(due))
