"""The inbound resolver knows persons: by either notation, by an id, by both, and after a change of number."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from shared.messaging.customers.whose import customers_of
from tests.support.cluster import Cluster
from tests.support.rows import add_mapping
from tests.support.waiting import until

LONG: Final = "5531987654321"
SHORT: Final = "553187654321"
PHONE: Final = "491700000001"
NEW: Final = "491700000002"
ID: Final = "DE.8842"
NOW: Final = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)


def message(place: int, address: str, **fields: Any) -> dict[str, Any]:
    return {
        "wamid": f"wamid.{place}",
        "timestamp": (NOW + timedelta(seconds=place)).isoformat(),
        "wa_id": address,
        "message_text": "hello",
        "phone_number_id": "1001",
    } | fields


def change(place: int, address: str, **system: Any) -> dict[str, Any]:
    content = {"type": "system", "system": system}
    return message(place, address, message_type="system", content=content, message_text=None)


async def hear(cluster: Cluster, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Publish one after the other, each resolved before the next; gives what was told of each."""
    for item in messages:
        before = len(cluster.told("inbound.enriched"))
        await cluster.publish("wa.inbound", item["wa_id"], item)
        await until(partial(_has_heard, cluster, before + 1))
    return cluster.told("inbound.enriched")[-len(messages) :]


def _has_heard(cluster: Cluster, count: int) -> bool:
    return len(cluster.told("inbound.enriched")) >= count


def _has_told(cluster: Cluster, event: str, count: int) -> bool:
    return len(cluster.told(event)) >= count


async def active(cluster: Cluster) -> list[tuple[str, str]]:
    """Customer and last address of each open conversation."""
    rows = await cluster.conn.fetch(
        "select customer, wa_id from conversation_mappings where status = 'active' order by customer"
    )
    return [tuple(row) for row in rows]


async def test_two_notations_are_one_conversation_and_a_reply_goes_to_the_last(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        told = await hear(cluster, message(1, LONG), message(2, SHORT), message(3, LONG))

    assert {item["customer"] for item in told} == {SHORT}
    assert len({item["mapping_id"] for item in told}) == 1
    assert [item["wa_id"] for item in told] == [LONG, SHORT, LONG]
    assert await active(cluster) == [(SHORT, LONG)]
    addresses = await cluster.conn.fetch("select address, source from customer_addresses order by address")
    assert [tuple(row) for row in addresses] == [(SHORT, "rule"), (LONG, "inbound")]
    profiles = await cluster.conn.fetch("select phone from customer_profiles")
    assert [row["phone"] for row in profiles] == [SHORT]


async def test_an_id_that_wrote_alone_is_joined_with_the_phone_it_stands_beside(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        told = await hear(cluster, message(1, ID), message(2, PHONE, user_id=ID), message(3, ID))
        await until(lambda: bool(cluster.told("customer.merged")))

    assert [item["customer"] for item in told] == [ID, PHONE, PHONE]
    assert len({item["mapping_id"] for item in told}) == 1, "the conversation goes on"
    assert [item["is_new_conversation"] for item in told] == [True, False, False]
    [merged] = cluster.told("customer.merged")
    assert (merged["customer"], merged["merged"], merged["addresses"]) == (PHONE, ID, [PHONE, ID])
    assert await active(cluster) == [(PHONE, ID)]


async def test_conversations_that_come_after_a_join_are_told_of_each(cluster: Cluster) -> None:
    """The contact centre opened one for either half of the person, and waits to hear of both."""
    async with cluster.running("inbound-resolver"):
        await hear(cluster, message(1, ID), message(2, PHONE), message(3, PHONE, user_id=ID))
        for place in (2, 1):
            correlation = {
                "conversation_id": f"conv-{place}",
                "communication_id": "c",
                "whatsapp_message_id": f"wamid.{place}",
            }
            await cluster.publish("wa.correlation", "genesys", correlation)
            await until(partial(_has_told, cluster, "conversation.correlated", 3 - place))

    told = cluster.told("conversation.correlated")
    assert [item["conversation_id"] for item in told] == ["conv-2", "conv-1"]
    [mapping] = await cluster.conn.fetch(
        "select id, conversation_id from conversation_mappings where status = 'active'"
    )
    assert {item["mapping_id"] for item in told} == {str(mapping["id"])}
    assert mapping["conversation_id"] == "conv-2"
    aliases = await cluster.conn.fetch("select conversation_id, mapping_id from conversation_aliases")
    assert [tuple(row) for row in aliases] == [("conv-1", mapping["id"])]


async def test_ids_that_stand_beside_a_phone_lead_to_it(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        told = await hear(
            cluster,
            message(1, PHONE, user_id=ID, parent_user_id="DE.ENT.7"),
            message(2, ID),
            message(3, "DE.ENT.7"),
        )

    assert [item["customer"] for item in told] == [PHONE] * 3
    assert len({item["mapping_id"] for item in told}) == 1
    assert cluster.told("customer.merged") == [], "nobody was two before"


async def test_a_changed_number_goes_on_and_the_old_one_is_somebody_new(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        told = await hear(
            cluster,
            message(1, PHONE, user_id=ID),
            change(2, PHONE, type="user_changed_number", wa_id=NEW, body="changed"),
            message(3, NEW),
            message(4, PHONE),
        )

    assert [item["customer"] for item in told] == [PHONE, NEW, NEW, PHONE]
    assert told[0]["mapping_id"] == told[1]["mapping_id"] == told[2]["mapping_id"] != told[3]["mapping_id"]
    assert await active(cluster) == [(PHONE, PHONE), (NEW, NEW)]
    assert (await customers_of(cluster.conn, [ID]))[ID] == NEW  # type: ignore[arg-type]


async def test_a_changed_id_keeps_its_person(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        told = await hear(
            cluster,
            message(1, PHONE, user_id=ID),
            change(2, PHONE, type="user_changed_user_id", user_id="DE.9") | {"user_id": ID},
            message(3, "DE.9"),
        )

    assert [item["customer"] for item in told] == [PHONE] * 3
    released = await cluster.conn.fetch(
        "select address from customer_addresses where released_at is not null"
    )
    assert [row["address"] for row in released] == [ID]


async def test_a_change_without_a_new_number_changes_nothing_and_says_so(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        told = await hear(
            cluster, message(1, PHONE), change(2, PHONE, type="user_changed_number", body="changed")
        )

    assert [item["customer"] for item in told] == [PHONE, PHONE]
    [row] = await cluster.conn.fetch("select doubt, released_at from customer_addresses")
    assert tuple(row) == ("no_new_address", None)


async def test_a_businesss_own_number_is_nobodys_address(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver"):
        await hear(
            cluster,
            message(1, PHONE),
            change(2, PHONE, type="user_changed_number", wa_id=NEW)
            | {"display_phone_number": "+49 170 000 0002"},
        )

    customers = await customers_of(cluster.conn, [PHONE, NEW])  # type: ignore[arg-type]
    assert customers == {PHONE: PHONE, NEW: NEW}
    [row] = await cluster.conn.fetch("select doubt from customer_addresses where doubt is not null")
    assert row["doubt"] == "own_number"


async def test_an_id_with_two_phones_stays_with_the_first_and_is_weighed_once_an_hour(
    cluster: Cluster,
) -> None:
    doubted = "select doubt, doubted_at from customer_addresses where address = $1"
    async with cluster.running("inbound-resolver"):
        told = await hear(cluster, message(1, PHONE, user_id=ID), message(2, NEW, user_id=ID))
        first = await cluster.conn.fetchrow(doubted, ID)
        told = [*told, *await hear(cluster, message(3, NEW, user_id=ID), message(4, ID))]
        again = await cluster.conn.fetchrow(doubted, ID)

    assert [item["customer"] for item in told] == [PHONE, NEW, NEW, PHONE]
    assert first is not None
    assert first["doubt"] == "two_phones"
    assert again == first


async def test_a_conversation_of_before_in_another_notation_goes_on(cluster: Cluster) -> None:
    mapping = await add_mapping(cluster.conn, wa_id=LONG, conversation_id="c-1")
    await cluster.conn.execute("update conversation_mappings set customer = null")
    async with cluster.running("inbound-resolver"):
        told = await hear(cluster, message(1, LONG), message(2, SHORT))

    assert {item["mapping_id"] for item in told} == {str(mapping)}
    assert {item["conversation_id"] for item in told} == {"c-1"}
    assert await active(cluster) == [(SHORT, SHORT)]


async def test_two_replicas_that_hear_two_notations_at_once_open_one_conversation(cluster: Cluster) -> None:
    async with cluster.running("inbound-resolver", "inbound-resolver"):
        for place in range(40):
            item = message(place, (LONG, SHORT)[place % 2])
            await cluster.publish("wa.inbound", f"{place}", item)
        await until(lambda: len(cluster.told("inbound.enriched")) >= 40)

    told = {item["wamid"]: item["mapping_id"] for item in cluster.told("inbound.enriched")}
    assert len(told) == 40
    assert len(set(told.values())) == 1
