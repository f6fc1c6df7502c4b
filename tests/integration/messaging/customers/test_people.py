"""One person under each of their addresses, as commands show, follow, ask and erase them."""

import json
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from redis.asyncio import Redis

from shared.coordination.keys import customer_key
from tests.support.before import write_as_before
from tests.support.people import take_snapshot
from tests.support.program import Outcome, run_wabus
from tests.support.rows import NOON, Connection, add_campaign, add_mapping, add_message, insert, only_row

#: As WhatsApp writes it, and as people dial it.
SHORT: Final = "551187654321"
LONG: Final = "5511987654321"
#: Areas up to 30 keep the ninth digit, so the long one is the customer.
CUSTOMER: Final = LONG
USER_ID: Final = "BR.abc1"
#: A number that she had before.
OLD: Final = "491700000001"
OTHER: Final = "491700000002"
DAY: Final = timedelta(days=1)


@pytest.fixture
def environ(database_url: str, redis_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "REDIS_URL": redis_url}


async def run(environ: dict[str, str], *arguments: str) -> Outcome:
    return await run_wabus(*arguments, environ=environ)


async def add_address(conn: Connection, address: str, customer: str, **values: object) -> None:
    kind = "phone" if address.isdigit() else "bsuid"
    row: dict[str, object] = {"kind": kind, "source": "inbound"} | values
    await insert(conn, "customer_addresses", address=address, phone=customer, **row)


async def add_ana(conn: Connection) -> tuple[UUID, UUID]:
    """Ana, who changed her number, and hid it for a while; her conversation then, and the one now."""
    await add_address(conn, CUSTOMER, CUSTOMER, first_seen_at=NOON, last_seen_at=NOON + 9 * DAY)
    await add_address(conn, SHORT, CUSTOMER, source="answer")
    await add_address(conn, USER_ID, CUSTOMER)
    await add_address(conn, OLD, CUSTOMER, released_at=NOON)
    then = await add_mapping(conn, wa_id=OLD, customer=CUSTOMER, status="closed", created_at=NOON - DAY)
    now = await add_mapping(conn, wa_id=USER_ID, customer=CUSTOMER, created_at=NOON)
    await insert(conn, "customer_profiles", phone=CUSTOMER, name="Ana")
    return then, now


@pytest.mark.parametrize("address", [SHORT, LONG, f"+{SHORT}", f"00{LONG}", USER_ID, OLD])
async def test_a_person_is_shown_by_each_of_their_addresses(
    conn: Connection, environ: dict[str, str], address: str
) -> None:
    await add_ana(conn)
    await add_mapping(conn, wa_id=OTHER)

    told = (await run(environ, "profile", "show", address, "--json")).json

    assert (told["customer"], told["profile"]["name"]) == (CUSTOMER, "Ana")
    assert told["conversations"] == {"conversations": 2, "active": 1, "messages": 0}
    rows = {row["address"]: row for row in told["addresses"]}
    assert rows.keys() == {LONG, SHORT, USER_ID, OLD}
    assert (rows[OLD]["released_at"], rows[SHORT]["source"]) == ("2026-01-15T12:00:00Z", "answer")
    assert rows[LONG]["last_seen_at"] == "2026-01-24T12:00:00Z"


async def test_a_number_that_somebody_new_writes_from_is_theirs_alone(
    conn: Connection, environ: dict[str, str]
) -> None:
    then, now = await add_ana(conn)
    await conn.execute("update customer_addresses set phone = $1, released_at = null where address = $1", OLD)
    news = await add_mapping(conn, wa_id=OLD)

    hers = (await run(environ, "message", "show", USER_ID, "--json")).json
    theirs = (await run(environ, "message", "show", OLD, "--json")).json

    assert {mapping["id"] for mapping in hers["mappings"]} == {str(then), str(now)}
    assert [mapping["id"] for mapping in theirs["mappings"]] == [str(news)]


@pytest.mark.parametrize("address", [SHORT, LONG, USER_ID, OLD])
async def test_messages_are_found_by_each_address(
    conn: Connection, environ: dict[str, str], address: str
) -> None:
    then, now = await add_ana(conn)
    first, second = await add_message(conn, mapping_id=then), await add_message(conn, mapping_id=now)
    await insert(
        conn,
        "dead_letter_queue",
        source_queue="inbound-resolver",
        reason="invalid_payload",
        raw_body=b"{}",
        payload=json.dumps({"wa_id": f"+{SHORT}"}),
    )

    told = (await run(environ, "message", "show", address, "--json")).json

    assert [[item["id"] for item in mapping["messages"]] for mapping in told["mappings"]] == [
        [str(second)],
        [str(first)],
    ]
    assert [letter["reason"] for letter in told["dead_letters"]] == ["invalid_payload"]
    assert told["counts"] == {"conversations": 2, "dead_letters": 1}


@pytest.mark.parametrize(
    ("doubt", "words"),
    [
        ("two_phones", "two different phones"),
        ("shared_device", "may be shared"),
        ("own_number", "of the business itself"),
        ("no_new_address", "without the new one"),
        ("stale", "older than the last one"),
        ("unlinked", "operator"),
    ],
)
async def test_why_an_address_was_kept_apart_is_told_in_words(
    conn: Connection, environ: dict[str, str], doubt: str, words: str
) -> None:
    await add_address(conn, USER_ID, USER_ID, doubt=doubt, doubted_at=NOON)

    shown = await run(environ, "profile", "show", USER_ID)
    told = (await run(environ, "profile", "show", USER_ID, "--json")).json

    assert f"{USER_ID} was kept apart at 2026-01-15 12:00:00Z: " in shown.out
    assert words in shown.out
    assert told["addresses"][0]["doubt"] == doubt
    assert words in told["addresses"][0]["doubt_explained"]


async def test_rows_of_before_are_known_by_what_stands_in_them(
    conn: Connection, environ: dict[str, str]
) -> None:
    """Of no address there is a row: notations are equal by rule, and an id stood beside a phone."""
    await add_before(conn, wa_id=LONG, user_id=USER_ID)
    await add_before(conn, wa_id=SHORT, phone_number_id="2002")
    await insert(conn, "customer_profiles", phone=SHORT, opt_in_marketing=False)

    for address in (LONG, SHORT, USER_ID):
        told = (await run(environ, "profile", "show", address, "--json")).json

        assert told["conversations"]["conversations"] == 2, address
        assert told["profile"]["opt_in_marketing"] is False
        assert told["addresses_of_before"] == [SHORT, LONG, USER_ID]


async def add_before(
    conn: Connection, wa_id: str, user_id: str | None = None, phone_number_id: str = "1001"
) -> None:
    """A conversation as it was before the migration."""
    statement = "insert into conversation_mappings (wa_id, user_id, phone_number_id) values ($1, $2, $3)"
    await write_as_before(conn, statement, wa_id, user_id, phone_number_id)


@pytest.mark.parametrize("address", [SHORT, LONG, USER_ID])
async def test_consent_is_the_persons_whichever_address_is_named(
    conn: Connection, environ: dict[str, str], address: str
) -> None:
    await add_ana(conn)

    refused = await run(environ, "profile", "opt-out", address)
    told = (await run(environ, "profile", "show", CUSTOMER, "--json")).json

    assert refused.code == 0, refused.err
    row = await only_row(conn, "select phone, opt_in_marketing from customer_profiles")
    assert tuple(row) == (CUSTOMER, False)
    assert [line["action"] for line in told["audit"]] == ["profile.opt_out"]


async def test_consent_of_a_number_that_was_given_up_is_of_whoever_has_it_now(
    conn: Connection, environ: dict[str, str]
) -> None:
    """What is sent there next goes to somebody new: the refusal must hold there."""
    await add_ana(conn)

    await run(environ, "profile", "opt-out", OLD)

    rows = await conn.fetch("select phone, opt_in_marketing from customer_profiles order by phone")
    assert [tuple(row) for row in rows] == [(OLD, False), (CUSTOMER, None)]


@pytest.mark.parametrize("address", [SHORT, LONG, USER_ID, OLD])
async def test_an_erasure_takes_all_addresses_of_the_person(
    conn: Connection, environ: dict[str, str], redis_url: str, address: str
) -> None:
    other = await add_mapping(conn, wa_id=OTHER)
    campaign = await add_campaign(conn)
    before = await take_snapshot(conn)
    then, now = await add_ana(conn)
    await add_message(conn, mapping_id=then, wamid="wamid.then")
    await add_message(conn, mapping_id=now, wamid="wamid.now")
    for wa_id in (OLD, SHORT):
        await insert(conn, "broadcast_recipients", campaign_id=campaign, wa_id=wa_id, customer=CUSTOMER)
    await defer(conn, customer=CUSTOMER)
    await insert(
        conn,
        "outbox_events",
        aggregate_id="1",
        aggregate_type="customer",
        event_type="customer.merged",
        payload=json.dumps({"customer": CUSTOMER, "merged": OLD}),
    )
    keys = [customer_key("1001", name) for name in (SHORT, LONG, USER_ID, OLD)]

    async with Redis.from_url(redis_url) as redis:
        await redis.mset(dict.fromkeys([*keys, customer_key("1001", OTHER)], "1"))
        rehearsed = (await run(environ, "profile", "erase", address, "--dry-run", "--json")).json
        done = (await run(environ, "profile", "erase", address, "--yes", "--json")).json
        kept = await redis.keys()

    after = await take_snapshot(conn)
    del before["audit_log"], after["audit_log"]
    assert after == before
    assert done["rows"] == rehearsed["rows"]
    assert (done["rows"]["customer_addresses"], done["rows"]["conversation_mappings"]) == (4, 2)
    assert (done["rows"]["broadcast_recipients"], done["rows"]["deferred_messages"]) == (2, 1)
    assert set(done["addresses"]) == {SHORT, LONG, USER_ID, OLD}
    assert kept == [customer_key("1001", OTHER).encode()]
    assert await conn.fetchval("select id from conversation_mappings") == other


async def test_an_erasure_leaves_whoever_has_the_number_now(
    conn: Connection, environ: dict[str, str], redis_url: str
) -> None:
    # Given a number that was Ana's, and now somebody else's, who wrote, is on a list, and waits
    await add_address(conn, OLD, OLD)
    await add_mapping(conn, wa_id=OLD)
    await insert(conn, "customer_profiles", phone=OLD, name="Ben")
    campaign = await add_campaign(conn)
    await insert(conn, "broadcast_recipients", campaign_id=campaign, wa_id=OLD, customer=OLD)
    await defer(conn, customer=OLD)
    before = await take_snapshot(conn)
    await add_address(conn, CUSTOMER, CUSTOMER)
    await conn.execute(
        "update customer_addresses set left_for = $2, left_at = $3 where address = $1", OLD, CUSTOMER, NOON
    )
    await add_mapping(conn, wa_id=OLD, customer=CUSTOMER, status="closed")
    await add_mapping(conn, wa_id=CUSTOMER)

    done = await run(environ, "profile", "erase", CUSTOMER, "--yes", "--json")

    assert done.code == 0, done.err
    after = await take_snapshot(conn)
    del before["audit_log"], after["audit_log"]
    assert after == before


async def test_who_was_erased_is_told_so_under_each_notation(
    conn: Connection, environ: dict[str, str]
) -> None:
    await add_ana(conn)
    await run(environ, "profile", "erase", SHORT, "--yes", "--by", "dpo")

    shown = [await run(environ, "profile", "show", address) for address in (SHORT, LONG)]

    assert [(item.code, "by dpo" in item.err) for item in shown] == [(1, True), (1, True)]


async def defer(conn: Connection, **values: Any) -> None:
    place = {"queue": "outbound-sender", "exchange": "wa.outbound", "routing_key": "reply.1"}
    await insert(
        conn, "deferred_messages", reason="rate_limit", not_before=NOON, body=b"{}", **place, **values
    )
