"""The sender and campaigns: paused, cancelled, and a template that does not exist."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.amqp.delivery import REPLAY_OF
from tests.support.leftovers import has_in_hand
from tests.support.rows import add_campaign, insert
from tests.support.sending import CUSTOMER, Sender, text
from tests.support.waiting import until

UNKNOWN_TEMPLATE = CUSTOMER[:-3] + "911"


async def add_recipient(
    sender: Sender, campaign: str, customer: str = CUSTOMER, status: str = "queued"
) -> None:
    conn = sender.cluster.conn
    await add_campaign(conn, id="spring", status=campaign, phone_number_id="1001")
    await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id=customer, status=status)


def campaign_message(customer: str = CUSTOMER) -> dict[str, Any]:
    return text(f"campaign:spring:{customer}", customer, campaign_id="spring")


async def recipient(sender: Sender) -> dict[str, Any]:
    row = await sender.cluster.conn.fetchrow("select * from broadcast_recipients")
    assert row is not None
    return dict(row)


async def set_campaign(sender: Sender, status: str) -> None:
    await sender.cluster.conn.execute("update broadcast_campaigns set status = $1", status)


async def test_a_recipient_of_a_running_campaign_is_sent_to(sender: Sender) -> None:
    await add_recipient(sender, "running")
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "sent"))
    row = await recipient(sender)
    [accepted] = await sender.sandbox.messages(CUSTOMER)

    assert row["wamid"] == accepted["wamid"]
    assert row["message_id"] == UUID(accepted["callback_data"].partition(":")[0])
    assert row["sent_at"] is not None


async def test_a_recipient_that_its_message_was_not_bound_to_is_bound_by_the_claim(sender: Sender) -> None:
    """A stale copy is tracked while the recipient is back with its campaign, which then queues it again."""
    conn = sender.cluster.conn
    await add_recipient(sender, "running")
    await insert(conn, "business_numbers", phone_number_id="1001", state="paused")
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await sender.until_deferred("number_paused")
        await conn.execute("update broadcast_recipients set message_id = null")
        await conn.execute("update business_numbers set state = 'active'")
        await sender.release("number_paused")
        await until(lambda: _recipient_is(sender, "sent"))
    [accepted] = await sender.sandbox.messages(CUSTOMER)
    bound = await recipient(sender)

    assert (bound["wamid"], str(bound["message_id"])) == (
        accepted["wamid"],
        accepted["callback_data"].partition(":")[0],
    )


async def test_a_paused_campaign_takes_its_recipient_back_and_sends_it_later(sender: Sender) -> None:
    await add_recipient(sender, "paused")
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "pending"))
        assert await _messages(sender) == 0
        assert await sender.sandbox.messages() == []
        await sender.cluster.conn.execute("update broadcast_recipients set status = 'queued'")
        await set_campaign(sender, "running")
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "sent"))

    assert len(await sender.sandbox.messages()) == 1


async def test_a_cancelled_campaign_skips_its_recipient(sender: Sender) -> None:
    await add_recipient(sender, "cancelled")
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "skipped"))

    assert (await recipient(sender))["skip_reason"] == "campaign_cancelled"
    assert await _messages(sender) == 0
    assert await sender.sandbox.messages() == []
    assert await sender.dead() == []


async def test_a_campaign_cancelled_between_two_attempts_fails_the_message(sender: Sender) -> None:
    await add_recipient(sender, "running")
    await sender.sandbox.change(fault={"code": 131048, "http_status": 400, "times": 1})
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await sender.until_deferred("rate_limit")
        await set_campaign(sender, "cancelled")
        await sender.release("rate_limit")
        await until(lambda: _recipient_is(sender, "skipped"))
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)

    assert sender.cluster.told("outbound.failed")[0]["error"]["code"] == "campaign_cancelled"
    assert await sender.sandbox.messages() == []
    assert await sender.dead() == []


@pytest.mark.parametrize("status", ["pending", "skipped", "sent", "failed"])
async def test_a_recipient_that_is_not_queued_is_not_sent_to(sender: Sender, status: str) -> None:
    await add_recipient(sender, "running", status=status)
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await sender.ask(text("after"), "bulk")
        await sender.until_status("sent", "after")

    assert (await recipient(sender))["status"] == status
    assert await _messages(sender) == 1
    assert len(await sender.sandbox.messages()) == 1


async def test_an_unknown_template_pauses_the_campaign_and_its_recipient_is_pending(sender: Sender) -> None:
    await add_recipient(sender, "running", UNKNOWN_TEMPLATE)
    async with sender.running():
        await sender.ask(campaign_message(UNKNOWN_TEMPLATE), "bulk")
        await until(lambda: _recipient_is(sender, "pending"))
        await until(lambda: len(sender.cluster.told("campaign.updated")) == 1)
        await sender.ask(text("after", UNKNOWN_TEMPLATE[:-3] + "000"), "bulk")
        await sender.until_status("sent", "after")
    [told] = sender.cluster.told("campaign.updated")
    assert (told["campaign_id"], told["new_status"]) == ("spring", "paused")
    assert told["reason"]
    campaign = await sender.cluster.conn.fetchrow("select * from broadcast_campaigns")
    assert campaign is not None
    assert campaign["status"] == "paused"
    assert campaign["status_reason"] == told["reason"]
    client_id = f"campaign:spring:{UNKNOWN_TEMPLATE}"

    assert (await sender.row(client_id))["status"] == "queued"
    assert await sender.attempts(client_id) == [("failed", "132001")]
    assert await sender.dead() == []


async def test_a_recipient_refused_while_its_campaign_is_cancelled_is_skipped(sender: Sender) -> None:
    await add_recipient(sender, "running", UNKNOWN_TEMPLATE)
    async with sender.running():
        async with sender.cluster.conn.transaction():
            await set_campaign(sender, "cancelled")
            await sender.ask(campaign_message(UNKNOWN_TEMPLATE), "bulk")
            await until(lambda: has_in_hand(sender.cluster))  # refused, about to pause the campaign
        await until(lambda: _recipient_is(sender, "skipped"))
    assert (await recipient(sender))["skip_reason"] == "campaign_cancelled"
    async with sender.cluster.running("scheduler"):
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)

    assert sender.cluster.told("outbound.failed")[0]["error"]["code"] == "campaign_cancelled"
    assert (await sender.row(f"campaign:spring:{UNKNOWN_TEMPLATE}"))["status"] == "failed"


async def test_a_recipient_who_was_tried_before_a_pause_is_followed_after_it(sender: Sender) -> None:
    await add_recipient(sender, "running")
    await sender.sandbox.change(fault={"code": 132001, "http_status": 404, "times": 1})
    async with sender.running():
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "pending"))
        await sender.cluster.conn.execute("update broadcast_recipients set status = 'queued'")
        await set_campaign(sender, "running")
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "sent"))
    [accepted] = await sender.sandbox.messages(CUSTOMER)

    assert (await recipient(sender))["wamid"] == accepted["wamid"]


async def test_a_recipient_whom_somebody_skipped_by_hand_needs_no_reason(sender: Sender) -> None:
    await add_recipient(sender, "running", UNKNOWN_TEMPLATE)
    async with sender.running():
        await sender.ask(campaign_message(UNKNOWN_TEMPLATE), "bulk")
        await until(lambda: _recipient_is(sender, "pending"))
    await sender.cluster.conn.execute("update broadcast_recipients set status = 'skipped'")
    async with sender.cluster.running("scheduler"):
        await until(lambda: len(sender.cluster.told("outbound.failed")) == 1)

    assert sender.cluster.told("outbound.failed")[0]["error"]["code"] == "skipped"


async def test_a_recipient_who_was_tried_and_is_then_asked_for_with_other_content_fails(
    sender: Sender,
) -> None:
    await add_recipient(sender, "running")
    await sender.sandbox.change(fault={"code": 132000, "http_status": 400, "times": 1})
    async with sender.running(), sender.cluster.running("dlq-handler"):
        await sender.ask(campaign_message(), "bulk")
        await until(lambda: _recipient_is(sender, "pending"))
        await sender.cluster.conn.execute("update broadcast_recipients set status = 'queued'")
        await set_campaign(sender, "running")
        await sender.ask(campaign_message() | {"message_text": "mended"}, "bulk")
        await until(lambda: _recipient_is(sender, "failed"))

    assert (await recipient(sender))["error_code"] == "state_violation"
    assert await sender.sandbox.messages() == []


async def test_an_unknown_template_that_a_replay_meets_pauses_the_campaign(sender: Sender) -> None:
    """Its recipient follows the replay, and goes back with everybody else."""
    await add_recipient(sender, "running", status="failed")
    await sender.sandbox.change(fault={"code": 132001, "http_status": 404, "times": 1})
    async with sender.running():
        await sender.ask(campaign_message(), "bulk", **{REPLAY_OF: str(uuid4())})
        await until(lambda: _recipient_is(sender, "pending"))

    assert await sender.cluster.conn.fetchval("select status from broadcast_campaigns") == "paused"
    assert await sender.cluster.depth("dlq-handler") == 0


async def test_the_recipient_of_a_paused_campaign_holds_up_nobody(sender: Sender) -> None:
    await add_recipient(sender, "running", UNKNOWN_TEMPLATE)
    async with sender.running():
        await sender.ask(campaign_message(UNKNOWN_TEMPLATE), "bulk")
        await until(lambda: _recipient_is(sender, "pending"))
        await sender.ask(text("next", UNKNOWN_TEMPLATE), "bulk")
        row = await sender.until_status("failed", "next")  # asked, and refused for its own sake

    assert row["error_code"] == "132001"


async def test_a_campaign_that_is_none_of_ours_changes_nothing(sender: Sender) -> None:
    async with sender.running():
        await sender.ask(text(campaign_id="their-own"), "bulk")
        row = await sender.until_status("sent")
    assert row["campaign_id"] is None


async def _recipient_is(sender: Sender, status: str) -> bool:
    return bool((await recipient(sender))["status"] == status)


async def _messages(sender: Sender) -> int:
    return int(await sender.cluster.conn.fetchval("select count(*) from message_tracking"))
