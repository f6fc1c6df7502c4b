"""Campaigns through batcher, sender and scheduler to the sandbox."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.campaigns import (
    BATCHER,
    campaign,
    control,
    counts,
    customer,
    customers,
    has_counts,
    is_state,
    launch,
    told_of,
)
from tests.support.sending import Sender
from tests.support.waiting import until


@asynccontextmanager
async def working(sender: Sender) -> AsyncIterator[None]:
    """Everything that a campaign needs, the batcher twice."""
    async with sender.running(), sender.cluster.running("scheduler", BATCHER, BATCHER):
        yield


async def accepted(sender: Sender) -> Counter[str]:
    return Counter([message["to"] for message in await sender.sandbox.messages()])


async def has_accepted(sender: Sender, number: int) -> bool:
    return (await accepted(sender)).total() >= number


async def test_everyone_is_sent_to_once_and_the_campaign_is_done(sender: Sender) -> None:
    told = campaign(customers(60), batch_size=20, batch_delay_ms=20)
    async with working(sender):
        await launch(sender.cluster, told)
        await launch(sender.cluster, told)
        await until(lambda: is_state(sender.cluster, "done"))
        await launch(sender.cluster, told)
        await until(lambda: has_counts(sender.cluster, {"sent": 60}))
        await until(lambda: "done" in [event["new_status"] for event in told_of(sender.cluster)])

    assert await accepted(sender) == {customer(number): 1 for number in range(60)}
    assert [event["new_status"] for event in told_of(sender.cluster)] == ["running", "done"]


async def test_a_paused_campaign_goes_on_where_it_was(sender: Sender) -> None:
    told = campaign(customers(80), batch_size=10, batch_delay_ms=1000)
    async with working(sender):
        await launch(sender.cluster, told)
        await until(lambda: has_accepted(sender, 15))
        await control(sender.cluster, "pause", "2026-01-15T10:00:00Z")
        await until(lambda: is_state(sender.cluster, "paused"))
        await until(lambda: nobody_is_queued(sender))
        before = (await accepted(sender)).total()
        assert before < 80
        assert await counts(sender.cluster) == {"sent": before, "pending": 80 - before}
        await control(sender.cluster, "resume", "2026-01-15T10:00:01Z")
        await until(lambda: is_state(sender.cluster, "done"))

    assert await accepted(sender) == {customer(number): 1 for number in range(80)}


async def test_a_cancelled_campaign_ends_without_the_rest(sender: Sender) -> None:
    async with working(sender):
        await launch(sender.cluster, campaign(customers(80), batch_size=10, batch_delay_ms=1000))
        await until(lambda: has_accepted(sender, 15))
        await control(sender.cluster, "cancel")
        await until(lambda: is_state(sender.cluster, "cancelled"))
        await until(lambda: nobody_is_queued(sender))
    sent = await accepted(sender)

    assert sent.total() < 80
    assert set(sent.values()) == {1}
    assert await counts(sender.cluster) == {
        "sent": sent.total(),
        "skipped: campaign_cancelled": 80 - sent.total(),
    }


async def test_a_refused_template_pauses_the_campaign(sender: Sender) -> None:
    recipients = [{"wa_id": "491700000911"}, *customers(30)]
    async with working(sender):
        await launch(sender.cluster, campaign(recipients, batch_size=1, batch_delay_ms=3_600_000))
        await until(lambda: is_state(sender.cluster, "paused"))
        await until(lambda: has_counts(sender.cluster, {"pending": 31}))

    assert await accepted(sender) == {}
    assert told_of(sender.cluster)[-1]["new_status"] == "paused"


async def test_recipients_whose_messages_die_are_failed_and_the_campaign_is_done(sender: Sender) -> None:
    recipients = [{"wa_id": "491700000907"}, *customers(3)]
    async with working(sender):
        await launch(sender.cluster, campaign(recipients, batch_delay_ms=20))
        await until(lambda: "done" in [told["new_status"] for told in told_of(sender.cluster)])
    done = told_of(sender.cluster)[-1]

    assert done["recipients"] == {"sent": 3, "failed": 1}


async def nobody_is_queued(sender: Sender) -> bool:
    return "queued" not in await counts(sender.cluster)
