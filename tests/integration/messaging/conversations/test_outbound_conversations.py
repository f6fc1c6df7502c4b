"""To which conversation, and from which number, a reply goes."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.messaging.campaigns.recipients import read_reachability
from shared.postgres.database import Database
from tests.integration.outbound_sender.test_outbound_sender import to_conversation
from tests.support.rows import add_mapping, insert
from tests.support.sending import CUSTOMER, NUMBER, Sender, text
from tests.support.waiting import until


async def test_a_conversation_is_found_by_its_id_and_by_an_earlier_one(sender: Sender) -> None:
    conn = sender.cluster.conn
    mapping_id = await add_mapping(conn, wa_id=CUSTOMER, phone_number_id="77", conversation_id="new")
    await insert(conn, "conversation_aliases", conversation_id="old", mapping_id=mapping_id)
    async with sender.running():
        await sender.ask(to_conversation("new"))
        await sender.ask(to_conversation("old", "c2"))
        assert (await sender.until_status("sent"))["mapping_id"] == mapping_id
        assert (await sender.until_status("sent", "c2"))["mapping_id"] == mapping_id

    assert [item["phone_number_id"] for item in await sender.sandbox.messages(CUSTOMER)] == ["77", "77"]


async def test_the_active_mapping_wins_over_newer_ended_ones(sender: Sender) -> None:
    conn = sender.cluster.conn
    active = await add_mapping(conn, wa_id=CUSTOMER, conversation_id="talk")
    await add_mapping(conn, wa_id=CUSTOMER, conversation_id="talk", status="expired")
    async with sender.running():
        await sender.ask(to_conversation("talk"))

        assert (await sender.until_status("sent"))["mapping_id"] == active


@pytest.mark.parametrize("ended", ["expired", "closed"])
async def test_an_ended_conversation_is_not_written_to(sender: Sender, ended: str) -> None:
    conn = sender.cluster.conn
    old = datetime.now(UTC) - timedelta(days=1)
    other = {"expired": "closed", "closed": "expired"}[ended]
    await add_mapping(conn, wa_id=CUSTOMER, conversation_id="talk", status=other, created_at=old)
    await add_mapping(conn, wa_id=CUSTOMER, conversation_id="talk", status=ended)
    async with sender.running():
        await sender.ask(to_conversation("talk"))
        await sender.until_dead(f"mapping_status_{ended}")

    assert await sender.sandbox.messages() == []


async def test_a_cached_conversation_that_has_ended_is_looked_up_again(sender: Sender) -> None:
    conn = sender.cluster.conn
    mapping_id = await add_mapping(conn, wa_id=CUSTOMER, conversation_id="talk")
    async with sender.running():
        await sender.ask(to_conversation("talk"))
        await sender.until_status("sent")
        await conn.execute("update conversation_mappings set status = 'closed' where id = $1", mapping_id)
        await sender.ask(to_conversation("talk", "c2"))
        await sender.until_dead("mapping_status_closed")

    assert len(await sender.sandbox.messages()) == 1


async def test_an_unknown_conversation_is_waited_for(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    async with sender.running():
        await sender.ask(to_conversation("late"))
        await until(lambda: "attempt 1 failed and is retried" in caplog.text)
    await add_mapping(sender.cluster.conn, wa_id=CUSTOMER, conversation_id="late")
    async with sender.running():
        await sender.until_status("sent")

    assert [item["to"] for item in await sender.sandbox.messages()] == [CUSTOMER]
    assert await sender.dead() == []


async def test_an_unknown_conversation_is_dead_after_three_retries(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(to_conversation("never"))
        headers = await sender.until_dead("mapping_not_found")
    assert headers["x-wabus-attempts"] == 4


async def test_a_customer_without_a_mapping_gets_one(sender: Sender) -> None:
    async with sender.running():
        message = text()
        del message["phone_number_id"]
        await sender.ask(message)
        await sender.ask(text("c2", "DE.8842", phone_number_id="77"))
        first, second = await sender.until_status("sent"), await sender.until_status("sent", "c2")
    mappings = await sender.cluster.conn.fetch("select * from conversation_mappings")
    by_id = {row["id"]: (row["phone_number_id"], row["wa_id"], row["status"]) for row in mappings}

    assert by_id[first["mapping_id"]] == (NUMBER, CUSTOMER, "active")
    assert by_id[second["mapping_id"]] == ("77", "DE.8842", "active")
    assert {item["to"] for item in await sender.sandbox.messages()} == {CUSTOMER, "DE.8842"}


async def test_a_message_without_a_number_leaves_from_the_one_that_its_customer_is_in_touch_with(
    sender: Sender,
) -> None:
    conn = sender.cluster.conn
    ago = "update conversation_mappings set last_activity_at = now() - $2::interval where id = $1"
    for number, minutes in (("2002", 20), ("3003", 10), ("4004", 30)):
        mapping = await add_mapping(conn, phone_number_id=number)
        await conn.execute(ago, mapping, timedelta(minutes=minutes))
    await add_mapping(conn, phone_number_id="5005", status="closed")
    async with sender.running():
        message = text()
        del message["phone_number_id"]
        await sender.ask(message)
        await sender.ask(text("c2", phone_number_id="2002"))
        await sender.until_status("sent")
        await sender.until_status("sent", "c2")

    assert sorted(item["phone_number_id"] for item in await sender.sandbox.messages()) == ["2002", "3003"]
    assert await conn.fetchval("select count(*) from conversation_mappings") == 4


async def test_a_message_of_ours_keeps_its_conversation_alive_and_opens_no_window(sender: Sender) -> None:
    """When it is accepted, and when it is sent at last."""
    conn = sender.cluster.conn
    await add_mapping(conn, conversation_id="conv-1")
    grow_old = "update conversation_mappings set last_activity_at = now() - interval '25 hours'"
    await conn.execute(grow_old)
    await insert(conn, "business_numbers", phone_number_id=NUMBER, state="paused")
    async with sender.running():
        await sender.ask(to_conversation("conv-1"))
        await sender.until_deferred("number_paused")
        assert await _is_fresh(sender)
        await conn.execute(grow_old)
        await conn.execute("update business_numbers set state = 'active'")
        await sender.release("number_paused")
        await until(lambda: _is_fresh(sender))
    database = Database(sender.cluster.database_url)
    try:
        async with database.connection() as connection:
            reachable = await read_reachability(
                connection, "spring", NUMBER, [CUSTOMER], sender.cluster.durations
            )
    finally:
        await database.close()

    assert not reachable[CUSTOMER].window_open


async def _is_fresh(sender: Sender) -> bool:
    fresh = "select last_activity_at > now() - interval '1 hour' from conversation_mappings"
    return bool(await sender.cluster.conn.fetchval(fresh))
