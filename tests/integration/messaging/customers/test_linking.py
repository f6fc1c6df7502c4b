"""`wabus profile link` and `unlink` as programs on real servers: what an operator may say, what follows."""

from datetime import timedelta
from typing import Final

import pytest
from redis.asyncio import Redis

from shared.coordination.keys import customer_key
from shared.messaging.customers.evidence import AddressDoubt, AddressEvidence
from shared.messaging.customers.identities import follow
from shared.payloads.clock import CLOCK
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.program import Outcome, run_wabus
from tests.support.rows import NOON, Connection, add_campaign, add_mapping, add_message, insert, only_row

PHONE: Final = "491700000001"
SECOND: Final = "491700000002"
USER_ID: Final = "DE.abc1"
DAY: Final = timedelta(days=1)


async def run(cluster: Cluster, *arguments: str) -> Outcome:
    return await run_wabus("profile", *arguments, environ=cluster.environment())


async def add_address(conn: Connection, address: str, customer: str, **values: object) -> None:
    kind = "phone" if address.isdigit() else "bsuid"
    row: dict[str, object] = {"kind": kind, "source": "inbound"} | values
    await insert(conn, "customer_addresses", address=address, phone=customer, **row)


async def owners(conn: Connection) -> dict[str, str]:
    rows = await conn.fetch("select address, phone from customer_addresses")
    return {row["address"]: row["phone"] for row in rows}


@pytest.mark.parametrize("named", [(PHONE, USER_ID), (USER_ID, PHONE)])
async def test_linked_addresses_are_one_person_with_one_conversation(
    cluster: Cluster, named: tuple[str, str]
) -> None:
    conn = cluster.conn
    older = await add_mapping(conn, wa_id=USER_ID, conversation_id="hidden", last_activity_at=NOON)
    newer = await add_mapping(conn, wa_id=PHONE, conversation_id="shown")
    message = await add_message(conn, mapping_id=older)
    await insert(conn, "customer_profiles", phone=USER_ID, opt_in_marketing=False)
    async with Redis.from_url(cluster.redis_url) as redis:
        await redis.set(customer_key("1001", USER_ID), "1")

        linked = await run(cluster, "link", *named, "--yes", "--by", "ana", "--json")
        again = await run(cluster, "link", *named, "--yes")

        assert await redis.keys() == []
    assert linked.json == {"customer": PHONE, "merged": USER_ID}, linked.err
    assert (again.code, "are one person already" in again.out) == (0, True)
    assert await owners(conn) == {PHONE: PHONE, USER_ID: PHONE}
    rows = await conn.fetch("select id, customer, status from conversation_mappings order by status")
    assert [tuple(row) for row in rows] == [(newer, PHONE, "active"), (older, PHONE, "closed")]
    assert await conn.fetchval("select mapping_id from message_tracking where id = $1", message) == newer
    assert (
        await conn.fetchval("select opt_in_marketing from customer_profiles where phone = $1", PHONE) is False
    )
    await cluster.hear_out()
    assert [told["evidence"] for told in cluster.told("customer.merged")] == ["operator"]
    audit = await conn.fetch(
        "select actor, action, subject, details::text from audit_log order by id limit 2"
    )
    assert [tuple(line)[:2] for line in audit] == [("ana", "profile.link")] * 2
    assert not [line for line in audit if PHONE in str(tuple(line)) or USER_ID in str(tuple(line))]


async def test_of_two_phones_the_first_names_the_person(cluster: Cluster) -> None:
    linked = await run(cluster, "link", SECOND, PHONE, "--yes", "--json")

    assert linked.json == {"customer": SECOND, "merged": PHONE}, linked.err
    assert await owners(cluster.conn) == {PHONE: SECOND, SECOND: SECOND}


@pytest.mark.parametrize(
    ("first", "second", "code", "words"),
    [
        ("5511987654321", "551187654321", 1, "are one phone"),
        (PHONE, PHONE, 1, "are one phone"),
        (PHONE, "0170 1", 2, "neither a phone number nor"),
        (PHONE, "DE.shared", 1, "a number of the business itself"),
        (SECOND, USER_ID, 1, "two phones"),
        (PHONE, "DE.new", 2, "say it with --yes"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    cluster: Cluster, first: str, second: str, code: int, words: str
) -> None:
    await add_address(cluster.conn, PHONE, PHONE)
    await add_address(cluster.conn, USER_ID, PHONE)
    await add_address(cluster.conn, "DE.shared", "DE.shared", doubt="own_number")
    before = await owners(cluster.conn)

    options = () if "--yes" in words else ("--yes",)
    refused = await run(cluster, "link", first, second, *options)

    assert (refused.code, words in refused.err) == (code, True), refused.err
    assert await owners(cluster.conn) == before
    assert await cluster.conn.fetchval("select count(*) from audit_log") == 0


async def test_an_address_is_given_back_with_what_is_its_own(cluster: Cluster) -> None:
    # Given an id that wrote by itself long before the phone was seen, and beside it since
    conn = cluster.conn
    await add_address(conn, PHONE, PHONE, first_seen_at=NOON)
    await add_address(conn, USER_ID, PHONE, first_seen_at=NOON - 90 * DAY)
    alone = NOON - 60 * DAY
    own = await add_mapping(
        conn, wa_id=USER_ID, customer=PHONE, status="expired", created_at=alone, last_activity_at=alone + DAY
    )
    both = await add_mapping(conn, wa_id=USER_ID, customer=PHONE, created_at=NOON)
    await insert(conn, "customer_profiles", phone=PHONE, name="Ana", opt_in_marketing=False)
    campaign = await add_campaign(conn)
    await insert(conn, "broadcast_recipients", campaign_id=campaign, wa_id=USER_ID, customer=PHONE)
    # When
    parted = await run(cluster, "unlink", USER_ID, "--yes", "--by", "ana", "--json")
    # Then
    assert parted.json == {"customer": USER_ID, "before": PHONE, "conversations": 1, "recipients": 1}, (
        parted.err
    )
    assert await owners(conn) == {PHONE: PHONE, USER_ID: USER_ID}
    rows = await conn.fetch("select id, customer from conversation_mappings")
    assert {row["id"]: row["customer"] for row in rows} == {own: USER_ID, both: PHONE}
    assert (await only_row(conn, "select customer from broadcast_recipients"))["customer"] == USER_ID
    profiles = await conn.fetch("select phone, name, opt_in_marketing from customer_profiles order by phone")
    assert [tuple(row) for row in profiles] == [(PHONE, "Ana", False), (USER_ID, None, False)]
    audit = await conn.fetch("select actor, action from audit_log")
    assert [tuple(line) for line in audit] == [("ana", "profile.unlink")] * 2


async def test_what_an_operator_parted_only_an_operator_joins(cluster: Cluster) -> None:
    await add_address(cluster.conn, PHONE, PHONE)
    await add_address(cluster.conn, USER_ID, PHONE)
    await run(cluster, "unlink", USER_ID, "--yes")
    told = AddressEvidence(PHONE, USER_ID, "inbound", CLOCK.now(), "trace")
    database = Database(cluster.database_url, size=1)
    async with database.transaction() as connection:
        verdict, _ = await follow(connection, told, USER_ID)
    await database.close()

    parted = await owners(cluster.conn)
    shown = await run(cluster, "show", USER_ID)
    linked = await run(cluster, "link", PHONE, USER_ID, "--yes")

    assert verdict.doubt == AddressDoubt.UNLINKED
    assert parted == {PHONE: PHONE, USER_ID: USER_ID}
    assert "an operator said that it is another person's" in shown.out
    assert linked.code == 0, linked.err
    assert await owners(cluster.conn) == {PHONE: PHONE, USER_ID: PHONE}
    assert await cluster.conn.fetchval("select count(*) from customer_addresses where doubt is not null") == 0


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (PHONE, f"is what the customer is named by: unlink the others from it: {USER_ID}"),
        (SECOND, "is linked to no other address"),
        ("491700000003", "was given up already"),
    ],
)
async def test_what_cannot_be_given_back_says_why(cluster: Cluster, address: str, words: str) -> None:
    await add_address(cluster.conn, PHONE, PHONE)
    await add_address(cluster.conn, USER_ID, PHONE)
    await add_address(cluster.conn, "491700000003", SECOND, released_at=NOON)

    refused = await run(cluster, "unlink", address, "--yes")

    assert (refused.code, words in refused.err) == (1, True), refused.err
