"""A list with several addresses of one person: each person is sent to once, whoever wrote the rows."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import follow
from shared.postgres.database import Database
from tests.support.campaigns import (
    BATCHER,
    BULK_QUEUE,
    campaign,
    counts,
    has_counts,
    is_depth,
    launch,
    queued_messages,
    ticking,
)
from tests.support.cluster import Cluster
from tests.support.program import run_wabus
from tests.support.rows import add_campaign, add_mapping, add_message, insert
from tests.support.sending import Sender, text
from tests.support.waiting import until

#: The second of each pair is the same person's: by rule, by rule, by rule, by evidence.
PAIRS: Final = (
    ("5531987654321", "553187654321"),
    ("525512345678", "5215512345678"),
    ("541123456789", "5491123456789"),
    ("491700000001", "DE.8842"),
)
FIRST: Final = sorted(first for first, _ in PAIRS)
LISTED: Final = [*(first for first, _ in PAIRS), "491700000009", *(second for _, second in PAIRS)]
ONCE_EACH: Final = {"queued": 5, "skipped: same_customer": 4}


async def know_the_id(cluster: Cluster) -> None:
    for address, kind in (("491700000001", "phone"), ("DE.8842", "bsuid")):
        await insert(
            cluster.conn,
            "customer_addresses",
            address=address,
            phone="491700000001",
            kind=kind,
            source="inbound",
        )


async def is_queued(cluster: Cluster) -> list[str]:
    return sorted(item["wa_id"] for item in await queued_messages(cluster))


@pytest.mark.parametrize("batch_size", [1, 50])
async def test_two_batchers_queue_each_person_of_a_launch_once(cluster: Cluster, batch_size: int) -> None:
    await know_the_id(cluster)
    told = campaign([{"wa_id": item} for item in LISTED], batch_size=batch_size, batch_delay_ms=10)
    async with cluster.running(BATCHER, BATCHER), ticking(cluster):
        await launch(cluster, told)
        await until(lambda: has_counts(cluster, ONCE_EACH))

    assert await is_queued(cluster) == sorted([*FIRST, "491700000009"])
    rows = await cluster.conn.fetch("select distinct customer from broadcast_recipients")
    expected = {"553187654321", "5215512345678", "5491123456789", "491700000001", "491700000009"}
    assert {row["customer"] for row in rows} == expected


async def test_a_refusal_of_before_counts_under_whichever_notation(cluster: Cluster) -> None:
    """Nobody has read these profiles yet: each refuses under the notation that the list does not use."""
    listed = [address for pair in PAIRS[:3] for address in pair][::2]
    for _, second in PAIRS[:2]:
        await insert(cluster.conn, "customer_profiles", phone=second, opt_in_marketing=False)
    await insert(cluster.conn, "customer_profiles", phone=PAIRS[2][0], opt_in_marketing=False)
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign([{"wa_id": item} for item in listed]))
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 3}))

    assert await is_queued(cluster) == []


@pytest.mark.parametrize("batch_size", [1, 50])
async def test_rows_that_others_wrote_are_decided_in_their_batches(cluster: Cluster, batch_size: int) -> None:
    await know_the_id(cluster)
    for wa_id in LISTED:
        await insert(cluster.conn, "broadcast_recipients", campaign_id="spring", wa_id=wa_id)
    async with cluster.running(BATCHER, BATCHER), ticking(cluster):
        await launch(cluster, campaign(batch_size=batch_size, batch_delay_ms=10))
        await until(lambda: has_counts(cluster, ONCE_EACH))

    assert await is_queued(cluster) == sorted([*FIRST, "491700000009"])


async def test_a_person_whose_first_address_is_not_sent_to_is_reached_by_the_second(cluster: Cluster) -> None:
    first, second = PAIRS[0]
    recipients: list[dict[str, Any]] = [{"wa_id": first}, {"wa_id": second, "variables": {"name": "Ana"}}]
    template: dict[str, Any] = {
        "name": "welcome",
        "language": "en",
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "{{name}}"}]}],
    }
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign(recipients, template=template))
        await until(lambda: has_counts(cluster, {"skipped: missing_variable": 1, "queued": 1}))

    assert await is_queued(cluster) == [second]


async def test_a_campaign_refuses_marketing_to_a_person_by_each_address(cluster: Cluster) -> None:
    await know_the_id(cluster)
    for phone in ("553187654321", "491700000001"):
        await insert(cluster.conn, "customer_profiles", phone=phone, opt_in_marketing=False)
    async with cluster.running(BATCHER), ticking(cluster):
        await launch(cluster, campaign([{"wa_id": "5531987654321"}, {"wa_id": "DE.8842"}]))
        await until(lambda: has_counts(cluster, {"skipped: opted_out": 2}))

    assert await cluster.depth(BULK_QUEUE) == 0


async def test_free_text_reaches_a_person_who_wrote_under_another_address(cluster: Cluster) -> None:
    await know_the_id(cluster)
    for address, customer in (("DE.8842", "491700000001"), ("553187654321", "553187654321")):
        mapping = await add_mapping(cluster.conn, wa_id=address, customer=customer)
        await add_message(cluster.conn, mapping_id=mapping, direction="INBOUND", status="received")
    async with cluster.running(BATCHER), ticking(cluster):
        listed = [{"wa_id": "491700000001"}, {"wa_id": "5531987654321"}, {"wa_id": "491700000009"}]
        await launch(cluster, campaign(listed, message_text="Hello"))
        await until(lambda: has_counts(cluster, {"queued": 2, "skipped: window_closed": 1}))

    skipped = await cluster.conn.fetch("select wa_id from broadcast_recipients where status = 'skipped'")
    assert [row["wa_id"] for row in skipped] == ["491700000009"]
    assert await cluster.depth(BULK_QUEUE) == 2


async def test_two_that_are_queued_when_they_turn_out_to_be_one_are_sent_to_once(sender: Sender) -> None:
    conn = sender.cluster.conn
    await add_campaign(conn, status="running", phone_number_id="1001")
    for wa_id in ("491700000001", "DE.8842"):
        await insert(
            conn, "broadcast_recipients", campaign_id="spring", wa_id=wa_id, customer=wa_id, status="queued"
        )
    await insert(conn, "business_numbers", phone_number_id="1001", state="paused")
    async with sender.running():
        for wa_id in ("491700000001", "DE.8842"):
            await sender.ask(text(f"campaign:spring:{wa_id}", wa_id, campaign_id="spring"), "bulk")
        await sender.until_deferred("number_paused", 2)
        await join(sender.cluster, "DE.8842", "491700000001")
        await conn.execute("update business_numbers set state = 'active'")
        await sender.release("number_paused")
        await until(lambda: _are_over(sender))

    assert len(await sender.sandbox.messages()) == 1
    assert await counts(sender.cluster) == {"sent": 1, "skipped: same_customer": 1}
    assert await conn.fetchval("select count(*) from message_tracking where status = 'queued'") == 0


async def test_a_list_of_brazilians_reaches_each_once_and_the_campaign_is_done(sender: Sender) -> None:
    people = [(f"5531987650{place:03}", f"553187650{place:03}") for place in range(20)]
    listed = [{"wa_id": notation} for pair in people for notation in pair]
    async with sender.running(2), sender.cluster.running("scheduler", BATCHER, BATCHER):
        await launch(sender.cluster, campaign(listed, batch_size=7, batch_delay_ms=20))
        await until(lambda: has_counts(sender.cluster, {"sent": 20, "skipped: same_customer": 20}))

    accepted = [item["to"] for item in await sender.sandbox.messages()]
    assert sorted(accepted) == sorted(dialled for dialled, _ in people)


async def test_the_dry_run_and_the_launch_count_them(cluster: Cluster, tmp_path: Path) -> None:
    await know_the_id(cluster)
    file = tmp_path / "customers.csv"
    file.write_text("\n".join(["wa_id", *LISTED]))

    dry = await wabus(cluster, "launch", str(file), "--dry-run", "--json")
    assert (dry.json["recipients"], dry.json["would_send"]) == (9, 5)
    assert dry.json["skipped"] == {"same_customer": 4}
    launched = await wabus(cluster, "launch", str(file), "--yes")
    assert "4 are further addresses of the same customers" in launched.out
    again = await wabus(cluster, "launch", str(file), "--dry-run", "--json")
    assert again.json["skipped"] == {"same_customer": 4}
    async with cluster.running(BATCHER), ticking(cluster):
        await until(lambda: is_depth(cluster, BULK_QUEUE, 5))
        await until(lambda: has_counts(cluster, ONCE_EACH))


async def wabus(cluster: Cluster, *arguments: str) -> Any:
    environ = {
        "RABBITMQ_URL": cluster.rabbitmq_url,
        "DATABASE_URL": cluster.database_url,
        "WHATSAPP_PHONE_NUMBER_ID": "1001",
    }
    template = ("--id", "spring", "--template", "welcome", "--language", "en")
    return await run_wabus("campaign", *arguments, *template, environ=environ)


async def join(cluster: Cluster, address: str, other: str) -> None:
    database = Database(cluster.database_url, size=1)
    try:
        async with database.transaction() as connection:
            told = AddressEvidence(address, other, "operator", datetime.now(UTC), "trace-1")
            await follow(connection, told, other)
    finally:
        await database.close()


async def _are_over(sender: Sender) -> bool:
    found = await counts(sender.cluster)
    if await sender.deferred():
        await sender.release("earlier_message")
    return found.get("queued", 0) == 0
