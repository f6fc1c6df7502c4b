"""Nobody waits for somebody else's trouble: production's durations and rates, two numbers, real workers.

What is asserted is who was sent before whom, never a time: without fairness the other number's replies come
last.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from shared.durations import DURATIONS
from tests.bench.fairness import fill
from tests.support.paces import FAST
from tests.support.sending import Sender
from tests.support.waiting import until

A, B = "1001", "2002"
_REPLIES = 20


@pytest.fixture
def fair(sender: Sender) -> Sender:
    """The tiers' delays are arguments of queues that all tests share; nothing here is retried."""
    sender.cluster.durations = replace(DURATIONS, retry_tier_s=FAST.retry_tier_s)
    return sender


@asynccontextmanager
async def working(sender: Sender) -> AsyncIterator[None]:
    """One sender and the scheduler, at 80 messages a second for each number."""
    environ = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_NUMBER_MPS": "80"}
    async with sender.cluster.running("outbound-sender", "scheduler", **environ):
        yield


async def test_replies_of_another_number_do_not_wait_for_a_burst(fair: Sender) -> None:
    burst = [str(491000000000 + place * 1000) for place in range(1_000)]
    for place, customer in enumerate(burst):
        await ask(fair, A, f"burst-{place}", customer)

    async with working(fair):
        await reply_to_many(fair, "r")
        accepted = await accepted_by(fair)

    assert len(accepted & set(burst)) < len(burst) / 2


async def test_replies_do_not_wait_for_a_paused_number_nor_for_its_return(fair: Sender) -> None:
    conn, backlog = fair.cluster.conn, 2_000
    await conn.execute("insert into business_numbers (phone_number_id, state) values ($1, 'paused')", A)
    await fill(conn, backlog)

    async with working(fair):
        await reply_to_many(fair, "while it is paused")
        touched = "select count(*) from deferred_messages where published_until is not null"
        assert await conn.fetchval(touched) == 0
        await conn.execute("update business_numbers set state = 'active' where phone_number_id = $1", A)
        await until(lambda: _has_begun(fair))
        await reply_to_many(fair, "while it comes back")
        left = await conn.fetchval("select count(*) from deferred_messages")

    assert left > backlog / 2


async def test_other_customers_do_not_wait_for_one_who_gets_hundreds(fair: Sender) -> None:
    one = "495555555000"
    for place in range(400):
        await ask(fair, B, f"many-{place:03}", one)

    async with working(fair):
        await reply_to_many(fair, "r")
        sent = await fair.sandbox.messages(one)
        await until(lambda: _is_put_off(fair, 300))
        await until(lambda: _is_due_alone(fair, one))

    assert len(sent) <= DURATIONS.pair_burst + 1


async def test_who_comes_later_waits_behind_the_first_of_a_customer_at_its_limit(fair: Sender) -> None:
    one, later = "495555555000", 4
    environ = {"WHATSAPP_API_URL": fair.url, "WHATSAPP_NUMBER_MPS": "80"}

    async with fair.cluster.running("outbound-sender", **environ):
        for place in range(DURATIONS.pair_burst):
            await ask(fair, B, f"burst-{place:03}", one)
        await until(lambda: _has_got(fair, one, DURATIONS.pair_burst))
        asked = DURATIONS.pair_burst
        while len(await fair.deferred()) <= later:
            asked += 1
            await ask(fair, B, f"later-{asked:03}", one)
            await until(partial(_is_sent_or_put_off, fair, one, asked))

    assert await fair.deferred() == ["rate_limit", *["earlier_message"] * later]


async def ask(sender: Sender, number: str, name: str, customer: str) -> None:
    message = {"client_message_id": name, "wa_id": customer, "phone_number_id": number, "message_text": "hi"}
    await sender.ask(message)


async def reply_to_many(sender: Sender, name: str) -> None:
    """Reply from number B, and wait until the platform has taken all of it."""
    first = 492000000000 + len(name) * 1_000_000
    customers = {str(first + place * 1000) for place in range(_REPLIES)}
    for place, customer in enumerate(sorted(customers)):
        await ask(sender, B, f"{name}-{place}", customer)
    await until(lambda: _has_taken(sender, customers))


async def accepted_by(sender: Sender) -> set[str]:
    return {item["to"] for item in await sender.sandbox.messages()}


async def _has_taken(sender: Sender, customers: set[str]) -> bool:
    return customers <= await accepted_by(sender)


async def _has_begun(sender: Sender) -> bool:
    begun = """select exists (select from send_attempts as attempt
                              join message_tracking as tracked on tracked.id = attempt.message_id
                              where tracked.client_message_id like 'waits-%')"""
    return bool(await sender.cluster.conn.fetchval(begun))


async def _is_due_alone(sender: Sender, customer: str) -> bool:
    """Of all that waits for a customer, the first; those behind it come back once and wait then."""
    due = "select count(*) from deferred_messages where customer = $1 and not_before is not null"
    found: int = await sender.cluster.conn.fetchval(due, customer)
    return found == 1


async def _has_got(sender: Sender, customer: str, count: int) -> bool:
    return len(await sender.sandbox.messages(customer)) >= count


async def _is_sent_or_put_off(sender: Sender, customer: str, asked: int) -> bool:
    return len(await sender.sandbox.messages(customer)) + len(await sender.deferred()) >= asked


async def _is_put_off(sender: Sender, count: int) -> bool:
    found: int = await sender.cluster.conn.fetchval("select count(*) from deferred_messages")
    return found >= count
