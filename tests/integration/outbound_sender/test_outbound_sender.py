"""The outbound sender on real servers and the sandbox: addresses, repetitions, order, what is not sent."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.messaging.messages.values import STATUS_RETRY
from tests.support.leftovers import has_in_hand
from tests.support.rows import add_mapping, insert
from tests.support.sending import CUSTOMER, NUMBER, Sender, text
from tests.support.waiting import until


def to_conversation(conversation_id: str, client_id: str = "c1") -> dict[str, Any]:
    return {"client_message_id": client_id, "conversation_id": conversation_id, "message_text": "hello"}


async def test_a_reply_is_sent_recorded_and_told(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text(metadata={"ticket": 7}, note="carried through"))
        row = await sender.until_status("sent")
        await until(lambda: len(sender.cluster.told("outbound.sent")) == 1)
        await sender.until_worked()
    [accepted] = await sender.sandbox.messages(CUSTOMER)
    [told] = sender.cluster.told("outbound.sent")
    assert accepted["phone_number_id"] == NUMBER
    assert accepted["callback_data"] == f"{row['id']}:1"
    assert row["wamid"] == accepted["wamid"] == told["wamid"]
    assert row["sent_at"] is not None
    assert await sender.attempts() == [("sent", None)]
    assert told["message_id"] == str(row["id"])
    assert told["mapping_id"] == str(row["mapping_id"])
    assert (told["wa_id"], told["client_message_id"]) == (CUSTOMER, "c1")
    assert (told["metadata"], told["note"]) == ({"ticket": 7}, "carried through")
    [updated] = sender.cluster.told("message.updated")

    assert (updated["old_status"], updated["new_status"]) == ("queued", "sent")


async def test_a_file_that_was_uploaded_is_sent_by_its_id(sender: Sender) -> None:
    uploaded = text(message_text=None, media_id="1037543291543636", media_type="image/png", caption="look")
    async with sender.running():
        await sender.ask(uploaded)
        await sender.ask(text("c2", message_text=None, media_id="logo", media_type="image/png"))
        row = await sender.until_status("sent")
        refused = await sender.until_status("failed", "c2")

    assert row["message_type"] == "image"
    assert len(await sender.sandbox.messages()) == 1
    assert refused["error_code"] == "100"
    assert "not a valid whatsapp business account media attachment ID" in refused["error_message"]


async def test_every_lane_is_worked(sender: Sender) -> None:
    async with sender.running():
        for lane in ("reply", "utility", "bulk"):
            await sender.ask(text(lane, f"49170000{len(lane)}000"), lane)
        for lane in ("reply", "utility", "bulk"):
            assert (await sender.until_status("sent", lane))["lane"] == lane


async def test_a_conversation_that_somebody_has_locked_keeps_no_message_waiting(sender: Sender) -> None:
    conn = sender.cluster.conn
    await add_mapping(conn, conversation_id="conv-1")
    await conn.execute("update conversation_mappings set last_activity_at = now() - interval '1 hour'")
    async with sender.running(), conn.transaction():
        await conn.execute("select from conversation_mappings for no key update")
        await sender.ask(to_conversation("conv-1"))
        await until(lambda: _is_accepted(sender))


async def test_the_same_id_with_the_same_content_is_sent_once(sender: Sender) -> None:
    async with sender.running():
        for _ in range(5):
            await sender.ask(text(genesys_message_id="g1"))
        await sender.until_status("sent")
        await sender.ask(text(genesys_message_id="g1", metadata={"again": True}))
        await sender.ask(text("c2"))
        await sender.until_status("sent", "c2")
        await sender.until_worked()

    assert len(await sender.sandbox.messages()) == 2
    assert await sender.dead() == []


@pytest.mark.parametrize("id_field", ["client_message_id", "genesys_message_id"])
async def test_the_same_id_with_other_content_is_a_violation(sender: Sender, id_field: str) -> None:
    def says(body: str) -> dict[str, Any]:
        return {id_field: "x1", "wa_id": CUSTOMER, "message_text": body}

    async with sender.running():
        await sender.ask(says("one"))
        await sender.ask(says("two"))
        headers = await sender.until_dead("state_violation")
        await until(lambda: len(sender.cluster.told("outbound.sent")) == 1)

    assert "x-wabus-message-id" not in headers  # it has no row, and the first one is not to blame
    assert len(await sender.sandbox.messages()) == 1


async def test_two_ids_that_belong_to_different_messages_are_a_violation(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text("c1"))
        await sender.ask(text("c2", genesys_message_id="g2"))
        await sender.until_status("sent")
        await sender.until_status("sent", "c2")
        await sender.ask(text("c1", genesys_message_id="g2"))
        headers = await sender.until_dead("state_violation")

    assert "x-wabus-message-id" not in headers  # neither of the two is to blame
    assert len(await sender.sandbox.messages()) == 2
    assert [(await sender.row(name))["status"] for name in ("c1", "c2")] == ["sent", "sent"]


@pytest.mark.parametrize(
    ("message", "reason", "named"),
    [
        ({"wa_id": CUSTOMER, "message_text": "x"}, "invalid_payload", "client_message_id"),
        ({"client_message_id": "c1", "message_text": "x"}, "invalid_payload", "wa_id"),
        ({"client_message_id": "c1", "wa_id": CUSTOMER}, "invalid_payload", "message_text"),
        (text(message_text=None, media_url="ftp://media.example/a"), "invalid_media_url", "http"),
        (text(message_text=None, media_url="https://evil.test/a"), "invalid_media_url", "not allowed"),
    ],
)
async def test_a_bad_message_is_dead_at_once_and_its_neighbours_go(
    sender: Sender, message: dict[str, Any], reason: str, named: str
) -> None:
    async with sender.running(MEDIA_URL_ALLOWED_HOSTS="media.example"):
        await sender.ask(message)
        await sender.ask(text("c2"))
        headers = await sender.until_dead(reason)
        await sender.until_status("sent", "c2")

    assert named in headers["x-wabus-error"]


async def test_a_nul_beside_the_body_is_the_publishers_fault(sender: Sender) -> None:
    async with sender.running():
        await sender.cluster.publish("wa.outbound", "reply.a\0b", text("c1"))
        await sender.ask(text("c2"), **{"x-note": "a\0b"})
        await sender.ask(text("c3"))
        await until(lambda: _are_dead(sender, 2))
        await sender.until_status("sent", "c3")
    letters = await sender.cluster.take("dlq-handler")
    assert {item.headers["x-wabus-reason"] for item in letters} == {"invalid_payload"}
    named = sorted(str(item.headers["x-wabus-error"]).partition(":")[0] for item in letters)

    assert named == ["headers.x-note", "headers.x-wabus-routing-key"]


async def test_an_expired_message_fails(sender: Sender) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    async with sender.running():
        await sender.ask(text(expires_at=past))
        headers = await sender.until_dead("expired")
        row = await sender.until_status("failed")
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)

    assert headers["x-wabus-message-id"] == str(row["id"])
    assert row["error_code"] == "expired"
    assert sender.cluster.told("outbound.failed")[0]["error"]["code"] == "expired"
    assert await sender.sandbox.messages() == []


@pytest.mark.parametrize(
    ("profile", "utility"),
    [({"opt_in_marketing": False}, "sent"), ({"notification_opt_out": True}, "failed")],
    ids=["of marketing", "of all that is sent by itself"],
)
async def test_what_somebody_refused_is_not_sent_and_an_agents_reply_is(
    sender: Sender, profile: dict[str, bool], utility: str
) -> None:
    await insert(sender.cluster.conn, "customer_profiles", phone=CUSTOMER, **profile)
    async with sender.running():
        await sender.ask(text("c1"), "bulk")
        await sender.ask(text("c2", category="marketing"))
        await sender.ask(text("c3"))
        await sender.ask(text("c4", category="utility"), "bulk")
        assert (await sender.until_status("failed"))["error_code"] == "opted_out"
        assert (await sender.until_status("failed", "c2"))["error_code"] == "opted_out"
        await sender.until_status("sent", "c3")
        await sender.until_status(utility, "c4")
        await until(lambda: _depth_is(sender, "dlq-handler", 2 if utility == "sent" else 3))

    assert {headers["x-wabus-reason"] for headers in await sender.dead()} == {"send_rejected"}


async def test_messages_of_a_customer_go_in_their_order_while_customers_overtake(sender: Sender) -> None:
    await sender.sandbox.change(latency_ms=5)
    customers = [f"49170000{number:02}000" for number in range(20)]
    async with sender.running(replicas=1):
        for place in range(10):
            for customer in customers:
                await sender.ask(text(f"{customer}-{place}", customer, f"message {place}"))
        await until(lambda: _has_told(sender, 200))
    rows = await sender.cluster.conn.fetch("select wamid, client_message_id from message_tracking")
    ids = {row["wamid"]: row["client_message_id"] for row in rows}
    for customer in customers:
        sent = [ids[item["wamid"]] for item in await sender.sandbox.messages(customer)]
        assert sent == [f"{customer}-{place}" for place in range(10)]


async def test_a_message_behind_one_that_waits_waits_too(sender: Sender) -> None:
    broken = CUSTOMER[:-3] + "904"
    async with sender.running():
        await sender.ask(text("c1", broken))
        await sender.until_deferred("ambiguous")
        await sender.ask(text("c2", broken))
        await sender.ask(text("c3", broken))
        await sender.ask(text("c4", broken), "utility")
        await sender.until_deferred("earlier_message", 2)
        await sender.until_deferred("ambiguous", 2)

    assert len(await sender.sandbox.messages(broken)) == 2  # c1, and c4 on its own lane


@pytest.mark.parametrize("first", [None, {}, {STATUS_RETRY: "1"}], ids=["copy", "original", "status retry"])
async def test_copies_do_not_take_the_row_of_a_message_that_is_deferred_again(
    sender: Sender, first: dict[str, str] | None
) -> None:
    """A confirm or an ack that was lost with RabbitMQ leaves two of them, of one row."""
    await set_number(sender, "paused")
    async with sender.running():
        await sender.ask(text())
        await sender.until_deferred("number_paused")
    if first is not None:
        await sender.ask(text(), **first)
    await sender.release("number_paused")
    await sender.cluster.conn.execute("update deferred_messages set published_until = null")
    await sender.release("number_paused")
    async with sender.running():
        await sender.until_worked()
    assert await sender.deferred() == ["number_paused"]

    await set_number(sender, "active")
    await sender.release("number_paused")
    async with sender.running():
        await sender.until_status("sent")

    assert len(await sender.sandbox.messages()) == 1
    assert await sender.deferred() == []


async def test_a_message_erased_while_it_is_put_off_is_gone_and_its_neighbour_waits(sender: Sender) -> None:
    conn = sender.cluster.conn
    await set_number(sender, "paused")
    async with sender.running():
        async with conn.transaction():
            await conn.execute("lock table deferred_messages in access exclusive mode")
            await sender.ask(text())
            await sender.ask(text("c2", "491700000002"))
            await until(lambda: has_in_hand(sender.cluster))
            await conn.execute("delete from message_tracking where client_message_id = 'c1'")
        await sender.until_deferred("number_paused")

    assert await sender.deferred() == ["number_paused"]
    assert await sender.dead() == []
    assert await sender.cluster.depth("outbound-sender") == 0


async def test_a_message_that_cannot_be_put_off_is_dead_and_its_neighbour_waits(sender: Sender) -> None:
    conn = sender.cluster.conn
    await set_number(sender, "paused")
    await conn.execute(
        f"alter table deferred_messages add constraint refusing check (customer <> '{CUSTOMER}')"
    )
    await sender.ask(text())
    await sender.ask(text("c2", "491700000002"))
    async with sender.running():
        headers = await sender.until_dead("database_error")
        await sender.until_deferred("number_paused")

    assert "refusing" in headers["x-wabus-error"]
    assert await sender.deferred() == ["number_paused"]
    assert await sender.cluster.depth("outbound-sender") == 0


async def set_number(sender: Sender, state: str) -> None:
    await sender.cluster.conn.execute(
        """insert into business_numbers (phone_number_id, state, since, changed_by)
           values ($1, $2, now(), 'test')
           on conflict (phone_number_id) do update set state = excluded.state, since = now()""",
        NUMBER,
        state,
    )


async def test_a_failed_message_that_is_replayed_is_sent_for_real_once(sender: Sender) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()
    failing = text(expires_at=past)
    async with sender.running():
        await sender.ask(failing)
        headers = await sender.until_dead("expired")
        again: dict[str, Any] = {"x-replay-of": "2b0d7d9e-0000-4000-8000-000000000000", "x-attempt": 1}
        again["x-wabus-message-id"] = headers["x-wabus-message-id"]
        del failing["expires_at"]
        for _ in range(3):
            await sender.ask(failing, **again)
        await until(lambda: _has_told(sender, 1))
        await sender.until_worked()
    assert (await sender.row())["status"] == "failed"
    replay = await sender.cluster.conn.fetchrow("select * from message_tracking where replay_of is not null")

    assert replay is not None
    assert str(replay["replay_of"]) == headers["x-wabus-message-id"]
    assert (replay["status"], replay["client_message_id"]) == ("sent", "c1")
    assert len(await sender.sandbox.messages()) == 1


async def test_a_status_retry_of_a_replay_is_another_attempt_of_the_replay(sender: Sender) -> None:
    conn = sender.cluster.conn
    mapping_id = await add_mapping(conn, wa_id=CUSTOMER)
    failed = await insert(
        conn,
        "message_tracking",
        mapping_id=mapping_id,
        direction="OUTBOUND",
        status="failed",
        client_message_id="c1",
    )
    replay: dict[str, Any] = {"x-replay-of": "a", "x-wabus-message-id": str(failed)}
    async with sender.running():
        await sender.ask(text(), **replay)
        await until(lambda: _has_told(sender, 1))
        replayed = await conn.fetchval("select id from message_tracking where replay_of = $1", failed)
        await conn.execute("update send_attempts set outcome = 'failed'")
        again: dict[str, Any] = {"x-wabus-message-id": str(replayed), "x-wabus-status-retry": 1}
        await sender.ask(text(), **(replay | again))
        await until(lambda: _has_sent(sender, 2))
    accepted = await sender.sandbox.messages()

    assert [item["callback_data"] for item in accepted] == [f"{replayed}:1", f"{replayed}:2"]


async def test_twenty_copies_at_two_replicas_are_one_send(sender: Sender) -> None:
    await sender.sandbox.change(latency_ms=20)
    async with sender.running(replicas=2):
        await asyncio.gather(*(sender.ask(text()) for _ in range(20)))
        await until(lambda: _has_told(sender, 1))
        await sender.until_worked()

    assert len(await sender.sandbox.messages()) == 1
    assert await sender.attempts() == [("sent", None)]
    assert len(sender.cluster.told("outbound.sent")) == 1


async def _depth_is(sender: Sender, queue: str, count: int) -> bool:
    return await sender.cluster.depth(queue) == count


async def _has_sent(sender: Sender, count: int) -> bool:
    return len(await sender.sandbox.messages()) == count


def _has_told(sender: Sender, count: int) -> bool:
    return len(sender.cluster.told("outbound.sent")) == count


async def _are_dead(sender: Sender, letters: int) -> bool:
    return await sender.cluster.depth("dlq-handler") == letters


async def _is_accepted(sender: Sender) -> bool:
    return len(await sender.sandbox.messages()) == 1


async def test_what_a_stall_held_up_does_not_go_out_in_one_second(sender: Sender) -> None:
    """Permits are given while no attempt can be stored, some 70 of them; then the sandbox counts."""
    async with sender.running(WHATSAPP_NUMBER_MPS="40"):
        async with sender.cluster.conn.transaction():
            await sender.cluster.conn.execute("lock table send_attempts in exclusive mode")
            for n in range(100):
                await sender.ask(text(f"c{n}", customer=f"4917000{n:05d}"))
            await until(lambda: has_in_hand(sender.cluster))
            await asyncio.sleep(3)
        await until(lambda: _are_accepted(sender, 100))

    assert (await sender.sandbox.stats())["max_sends_per_second"][NUMBER] < 55


async def _are_accepted(sender: Sender, count: int) -> bool:
    return len(await sender.sandbox.messages()) == count
