"""Two persons that turn out to be one, on a real database: what stays, what follows, in whatever order."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import pytest

from shared.errors import StoreConflict
from shared.messaging.conversations.mappings import name_customers
from shared.messaging.customers.evidence import AddressEvidence, Source
from shared.messaging.customers.identities import follow
from shared.messaging.customers.joining import Joined
from shared.messaging.customers.notation import notations, platform_notation
from shared.messaging.customers.whose import addresses_of, customers_of
from tests.support.leftovers import lock_waiters
from tests.support.rows import NOON, Connection, add_campaign, add_mapping, add_message, insert
from tests.support.waiting import until

PHONE: Final = "491700000001"
OTHER: Final = "491700000002"
ID: Final = "DE.8842"


def told(
    address: str, other: str, minutes: float = 0, source: Source = "inbound", *, change: bool = False
) -> AddressEvidence:
    return AddressEvidence(
        address, other, source, NOON + timedelta(minutes=minutes), "trace-1", is_change=change
    )


async def learn(conn: Any, *evidences: AddressEvidence) -> list[str]:
    """Follow them one by one; gives what came of each."""
    return [(await learn_one(conn, evidence))[0] for evidence in evidences]


async def learn_one(conn: Any, evidence: AddressEvidence) -> tuple[str, Joined]:
    assert evidence.other is not None
    while True:
        try:
            async with conn.transaction():
                verdict, joined = await follow(conn, evidence, evidence.other)
        except (StoreConflict, asyncpg.DeadlockDetectedError):
            continue
        return verdict.doubt or verdict.outcome, joined


async def learn_in_transaction(conn: Any, evidence: AddressEvidence) -> None:
    await follow(conn, evidence, evidence.other or "")


async def _is_waiting(conn: Connection) -> bool:
    return await lock_waiters(conn) > 0


async def history_of(conn: Any, customer: str) -> dict[str, bool]:
    """Each of their addresses, and whether they gave it up."""
    return {item.address: item.released_at is not None for item in await addresses_of(conn, customer)}


async def whose(conn: Any, *addresses: str) -> list[str]:
    customers = await customers_of(conn, addresses)
    return [customers[address] for address in addresses]


async def add_two(conn: Connection) -> tuple[Any, Any]:
    """A conversation by phone, and a later one by id, each with a message."""
    by_phone = await add_mapping(
        conn, wa_id=PHONE, conversation_id="c-phone", last_activity_at=NOON, conversation_seq=1
    )
    by_id = await add_mapping(
        conn, wa_id=ID, conversation_id="c-id", last_activity_at=NOON + timedelta(hours=1), conversation_seq=2
    )
    await insert(conn, "conversation_aliases", conversation_id="c-earlier", mapping_id=by_phone)
    await add_message(conn, mapping_id=by_phone, wamid="wamid.phone", direction="INBOUND", status="received")
    await add_message(conn, mapping_id=by_id, wamid="wamid.id", direction="INBOUND", status="received")
    return by_phone, by_id


async def test_an_unknown_address_is_a_customer_of_its_own(conn: Connection) -> None:
    assert await whose(conn, PHONE, "5531987654321", ID) == [PHONE, "553187654321", ID]


async def test_the_person_with_the_phone_stays_and_of_two_conversations_the_later(conn: Connection) -> None:
    by_phone, by_id = await add_two(conn)

    outcome, joined = await learn_one(conn, told(PHONE, ID))

    assert outcome == "joined"
    assert await whose(conn, PHONE, ID) == [PHONE, PHONE]
    rows = {row["id"]: row for row in await conn.fetch("select * from conversation_mappings")}
    assert (rows[by_phone]["status"], rows[by_id]["status"]) == ("closed", "active")
    assert {row["customer"] for row in rows.values()} == {PHONE}
    assert rows[by_id]["conversation_id"] == "c-id"
    aliases = await conn.fetch("select conversation_id, mapping_id from conversation_aliases order by 1")
    assert [tuple(row) for row in aliases] == [("c-earlier", by_id), ("c-phone", by_id)]
    messages = await conn.fetch("select mapping_id from message_tracking")
    assert [row["mapping_id"] for row in messages] == [by_id, by_id]
    told_of = [(item.event_type, json.loads(item.payload)) for item in joined.events]
    assert [name for name, _ in told_of] == ["conversation.closed", "customer.merged"]
    assert told_of[0][1]["conversation_id"] == "c-phone"
    assert {key: told_of[1][1][key] for key in ("customer", "merged", "addresses", "evidence")} == {
        "customer": PHONE,
        "merged": ID,
        "addresses": [PHONE, ID],
        "evidence": "inbound",
    }
    assert set(joined.stale_keys) == {
        f"mapping:wa:1001:{PHONE}",
        f"mapping:wa:1001:{ID}",
        "mapping:conv:c-phone",
        "mapping:conv:c-id",
    }


async def test_who_stays_takes_the_conversation_that_only_the_other_had(conn: Connection) -> None:
    await add_mapping(conn, wa_id=PHONE, conversation_id="c-phone", last_activity_at=NOON, conversation_seq=1)
    by_id = await add_mapping(conn, wa_id=ID, last_activity_at=NOON + timedelta(hours=1))

    await learn(conn, told(PHONE, ID))

    [stays] = await conn.fetch(
        "select id, conversation_id from conversation_mappings where status = 'active'"
    )
    assert tuple(stays) == (by_id, "c-phone")


async def test_told_twice_it_is_known(conn: Connection) -> None:
    await add_two(conn)

    assert await learn(conn, told(PHONE, ID), told(PHONE, ID), told(ID, PHONE)) == [
        "joined",
        "known",
        "known",
    ]


async def test_two_replicas_that_hear_the_same_at_once_join_once(conn: Connection, database_url: str) -> None:
    await add_two(conn)
    others = [await asyncpg.connect(database_url) for _ in range(4)]
    evidences = [told(PHONE, ID), told(ID, PHONE)] * 2

    outcomes = await asyncio.gather(
        *(learn(other, evidence) for other, evidence in zip(others, evidences, strict=True))
    )

    for other in others:
        await other.close()
    assert sorted(outcome for [outcome] in outcomes) == ["joined", "known", "known", "known"]
    assert await conn.fetchval("select count(*) from conversation_mappings where status = 'active'") == 1


async def test_a_conversation_opened_beside_a_join_cannot_keep_the_name_that_went(
    conn: Connection, database_url: str
) -> None:
    await add_two(conn)
    writer = await asyncpg.connect(database_url)
    opening = "insert into conversation_mappings (wa_id, phone_number_id, customer) values ($1, '1002', $1)"
    try:
        async with conn.transaction():
            await learn_in_transaction(conn, told(PHONE, ID))
            waiting = asyncio.create_task(writer.execute(opening, ID))
            await until(lambda: _is_waiting(conn))

        with pytest.raises(asyncpg.SerializationError):
            await waiting
    finally:
        await writer.close(timeout=5)


async def test_a_refusal_wins_whoever_gave_it(conn: Connection) -> None:
    await insert(
        conn, "customer_profiles", phone=PHONE, name="Ana", opt_in_marketing=True, marketing_opted_at=NOON,
        last_interaction_at=NOON,
    )  # fmt: skip
    await insert(
        conn, "customer_profiles", phone=ID, opt_in_marketing=False,
        marketing_opted_at=NOON - timedelta(days=9), last_interaction_at=NOON + timedelta(hours=1),
    )  # fmt: skip

    await learn(conn, told(PHONE, ID))

    [row] = await conn.fetch("select * from customer_profiles")
    assert (row["phone"], row["name"], row["opt_in_marketing"]) == (PHONE, "Ana", False)
    assert row["marketing_opted_at"] == NOON - timedelta(days=9)
    assert row["last_interaction_at"] == NOON + timedelta(hours=1)


async def test_of_two_recipients_of_a_campaign_one_is_sent_to(conn: Connection) -> None:
    await add_campaign(conn, id="spring")
    for address in (PHONE, ID):
        await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id=address)

    await learn(conn, told(PHONE, ID))

    rows = await conn.fetch("select wa_id, status, skip_reason from broadcast_recipients order by id")
    assert [tuple(row) for row in rows] == [(PHONE, "pending", None), (ID, "skipped", "same_customer")]


async def test_a_changed_number_takes_the_person_along_and_frees_the_old_one(conn: Connection) -> None:
    mapping = await add_mapping(conn, wa_id=PHONE, conversation_id="c-1")

    await learn(conn, told(PHONE, ID), told(PHONE, OTHER, 5, "system", change=True))

    assert await whose(conn, OTHER, ID, PHONE) == [OTHER, OTHER, PHONE]
    row = await conn.fetchrow("select wa_id, customer from conversation_mappings where id = $1", mapping)
    assert row is not None
    assert tuple(row) == (OTHER, OTHER)
    assert await history_of(conn, OTHER) == {OTHER: False, ID: False, PHONE: True}


async def test_a_status_of_a_message_dialled_before_a_change_names_whoever_has_the_number_now(
    conn: Connection,
) -> None:
    await learn(conn, told(PHONE, ID), told(PHONE, OTHER, 5, "system", change=True))

    outcomes = await learn(conn, told(OTHER, "DE.9", 6, "status"), told(OTHER, PHONE, 6, "status"))

    assert outcomes == ["two_phones", "two_phones"]
    assert await whose(conn, OTHER, ID, "DE.9") == [OTHER, OTHER, "DE.9"]


async def test_such_a_status_is_doubted_too_once_the_stranger_has_the_number(conn: Connection) -> None:
    await learn(conn, told(PHONE, ID), told(PHONE, OTHER, 5, "system", change=True), told(PHONE, "DE.9", 7))

    outcomes = await learn(conn, told(OTHER, "DE.10", 8, "status"))

    assert outcomes == ["two_phones"]
    assert await whose(conn, OTHER, ID, PHONE, "DE.9", "DE.10") == [OTHER, OTHER, PHONE, PHONE, "DE.10"]


async def name(conn: Any, message: UUID, user_id: str) -> None:
    await name_customers(conn, [(message, PHONE, user_id)])


async def test_a_conversation_never_takes_the_id_of_somebody_else(conn: Connection) -> None:
    mapping = await add_mapping(conn, wa_id=PHONE, customer=PHONE, user_id=ID)
    message = await add_message(conn, mapping_id=mapping, status="sent")
    await learn(conn, told(PHONE, ID), told(OTHER, "DE.9"))

    taken = []
    for named in ("DE.9", "DE.10"):
        await name(conn, message, named)
        taken.append(await conn.fetchval("select user_id from conversation_mappings"))

    assert taken == [ID, "DE.10"]


async def test_what_an_operator_parted_no_later_doubt_forgets(conn: Connection) -> None:
    await learn(conn, told(PHONE, ID), told(OTHER, "DE.9"))
    await conn.execute(
        "update customer_addresses set doubt = 'unlinked', phone = address where address = $1", ID
    )

    outcomes = await learn(
        conn, told(ID, "DE.9", -1, "system", change=True), told(PHONE, ID, 2), told(PHONE, ID, 3)
    )

    assert outcomes == ["known", "unlinked", "unlinked"]
    assert await conn.fetchval("select doubt from customer_addresses where address = $1", ID) == "unlinked"


async def test_many_ids_at_one_phone_are_a_shared_device(conn: Connection) -> None:
    outcomes = await learn(conn, *(told(PHONE, f"DE.{place}", place) for place in range(25)))

    assert outcomes.count("joined") == 20
    assert outcomes[20:] == ["shared_device"] * 5
    doubts = await conn.fetch("select address, doubt from customer_addresses where doubt is not null")
    assert {row["doubt"] for row in doubts} == {"shared_device"}
    assert len(doubts) == 5


async def test_the_rule_is_the_same_in_postgresql(conn: Connection) -> None:
    addresses = [
        country + area + rest
        for country in ("55", "52", "521", "54", "549", "49", "1")
        for area in ("11", "28", "30", "31", "99", "01")
        for rest in ("987654321", "87654321", "32654321", "9123456", "12345678")
    ] + [ID, "BR.ENT.5531987654321"]
    rows = await conn.fetch(
        """select a, platform_notation(a) as own, other_notation(platform_notation(a)) as other
           from unnest($1::text[]) as a""",
        addresses,
    )

    assert {row["a"]: row["own"] for row in rows} == {item: platform_notation(item) for item in addresses}
    others = {item: notations(item)[1] if len(notations(item)) > 1 else None for item in addresses}
    assert {row["a"]: row["other"] for row in rows} == others
