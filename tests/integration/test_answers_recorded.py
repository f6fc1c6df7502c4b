"""An answer of the Cloud API is recorded, whatever fails beside it."""

from dataclasses import replace
from math import nan

from redis.asyncio import Redis

from tests.support.sending import PATIENT, Sender, text

REFUSED_FOR_ITS_PAIR = "49170000000909"


async def test_the_5000th_refusal_in_a_row_is_recorded_as_one(sender: Sender) -> None:
    conn = sender.cluster.conn
    sender.cluster.durations = replace(PATIENT, pair_backoff_base_s=60.0)
    async with sender.running():
        await sender.ask(text(customer=REFUSED_FOR_ITS_PAIR))
        await sender.until_deferred("rate_limit")
    await conn.execute(
        """insert into send_attempts (message_id, attempt, outcome, error_code, finished_at)
           select id, number, 'failed', '131056', now()
           from message_tracking, generate_series(2, 5000) as number"""
    )
    async with Redis.from_url(sender.cluster.redis_url) as redis:
        await redis.flushdb()
    await sender.release("rate_limit")
    async with sender.running():
        await sender.until_deferred("rate_limit")
        await sender.until_worked()
    attempts = await sender.attempts()
    assert len(attempts) == 5001
    assert set(attempts) == {("failed", "131056")}
    assert await sender.deferred() == ["rate_limit"]


async def test_a_limiter_that_fails_takes_no_answer_along(sender: Sender) -> None:
    sender.cluster.durations = replace(PATIENT, rate_backoff_max_s=nan)  # which no script takes
    await sender.sandbox.change(fault={"code": 130429, "http_status": 429, "times": 2})
    async with sender.running():
        await sender.ask(text())
        await sender.until_status("sent")
    assert await sender.attempts() == [("failed", "130429"), ("failed", "130429"), ("sent", None)]
    assert await sender.deferred() == []
