"""An answer of the Cloud API is recorded, whatever fails beside it."""

from dataclasses import replace
from math import nan

import pytest
from redis.asyncio import Redis

from tests.integration.observability.test_metrics_of_work import processed, until_scraped, worker
from tests.support.sending import NUMBER, PATIENT, Sender, text
from tests.support.waiting import until

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


#: Statuses that come between an answer's record and the look for them: the first cannot be worked.
STATUSES_OF_WHAT_WAS_SENT = """
    create function hear() returns trigger language plpgsql as $$
    begin
        insert into status_events (source, wamid, status, occurred_at, errors, details)
        values ('whatsapp', new.wamid, 'failed', now(), '{errors}', '{details}'),
               ('whatsapp', new.wamid, 'delivered', now(), null, null);
        return new;
    end $$;
    create trigger hear after update of wamid on message_tracking
        for each row when (old.wamid is null and new.wamid is not null) execute function hear();
"""


@pytest.mark.parametrize(
    ("errors", "details"),
    [('["no object"]', "{}"), ("5", "{}"), ("[]", "[1]"), ("[]", '"text"')],
)
async def test_a_status_that_cannot_be_applied_takes_no_answer_along(
    sender: Sender, errors: str, details: str
) -> None:
    conn = sender.cluster.conn
    await conn.execute(STATUSES_OF_WHAT_WAS_SENT.format(errors=errors, details=details))
    async with sender.running():
        await sender.ask(text())
        await sender.until_status("delivered")
        await until(lambda: len(sender.cluster.told("outbound.sent")) == 1)
        await sender.until_worked()
    assert await sender.attempts() == [("sent", None)]
    assert await sender.cluster.depth("dlq-handler") == 0
    [aside] = await conn.fetch("select job, row_key, reason from rows_set_aside")
    bad = await conn.fetchval("select id from status_events where status = 'failed'")

    assert (aside["job"], aside["row_key"]) == ("unmatched statuses", str(bad))
    assert aside["reason"].startswith("unexpected ")


async def test_a_status_that_cannot_be_read_takes_no_answer_along(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    """Its time is one for which Python has no value: not even its row can be read."""
    told = STATUSES_OF_WHAT_WAS_SENT.format(errors="[]", details="{}")
    await sender.cluster.conn.execute(told.replace("now()", "'0044-03-15 BC'"))
    await sender.ask(text())
    environ = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER}
    async with worker(sender.cluster, caplog, "outbound-sender", **environ) as url:
        seen = await until_scraped(url, lambda scraped: processed(scraped) > 0)

    assert seen.values("messages_processed_total") == {"ack/outbound-sender": 1}
    assert await sender.attempts() == [("sent", None)]
