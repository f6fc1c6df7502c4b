"""The sender when servers go, processes die and replicas meet: nothing lost, nothing sent twice."""

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage

from shared.amqp.broker import QueueState
from shared.amqp.topology import OUTBOUND_BULK, OUTBOUND_UTILITY
from shared.coordination.client import RedisClient
from shared.coordination.rate import RateLimiter
from shared.observability.health import WorkerState
from shared.observability.metrics import Metrics
from shared.payloads import OutboundMessage
from shared.postgres.database import Database
from tests.support.cluster import Cluster
from tests.support.leftovers import has_in_hand
from tests.support.paces import FAST
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.rows import add_mapping, insert
from tests.support.sending import CUSTOMER, NUMBER, PATIENT, Sender, text
from tests.support.waiting import until
from workers.outbound_sender.calling.answer import Accepted, TooLate, Unable
from workers.outbound_sender.calling.cloud_api import CloudApi
from workers.outbound_sender.calling.graph_body import encode_body
from workers.outbound_sender.watch import NO_SCHEDULER, Watch

RETRY: dict[str, Any] = {"x-wabus-status-retry": 1}
#: What closes an attempt fails to serialise thirty times; a sequence counts, for it is not rolled back.
LOSE_OFTEN = """
create sequence losses;
create function lose() returns trigger language plpgsql as $$
begin
    if nextval('losses') < 30 then
        raise exception 'could not serialize access' using errcode = '40001';
    end if;
    return new;
end $$;
create trigger lose before update on send_attempts for each row execute function lose();
"""
OPEN_ATTEMPT = "insert into send_attempts (message_id, attempt) values ($1, 1)"


async def test_an_attempt_of_a_writer_that_died_is_never_repeated(sender: Sender) -> None:
    """`kill -9` between claim and request, or between request and commit, leaves exactly this."""
    conn = sender.cluster.conn
    async with sender.running():
        await sender.ask(text())
        row = await sender.until_status("sent")
        await conn.execute("delete from send_attempts")
        await conn.execute("update message_tracking set status = 'queued', wamid = null")
        await conn.execute(OPEN_ATTEMPT, row["id"])
        await sender.ask(text())
        await sender.until_deferred("ambiguous")
        wait_s = await conn.fetchval(
            "select extract(epoch from not_before - now())::float8 from deferred_messages"
        )

    assert wait_s <= FAST.ambiguous_wait_s
    assert len(await sender.sandbox.messages()) == 1


async def test_an_answer_whose_commit_must_wait_is_not_lost_and_not_asked_for_again(
    sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL goes away between the HTTP 200 and the commit, and comes back."""
    await sender.sandbox.change(latency_ms=300)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy.before(sender.cluster.database_url))
        url = proxy.url(sender.cluster.database_url)
        await stack.enter_async_context(sender.running(DATABASE_URL=url))
        await sender.ask(text())
        await until(lambda: _accepted(sender, 1))
        proxy.refuse()
        await until(lambda: "1 results of sending wait to be written" in caplog.text)
        assert await sender.attempts() == [(None, None)]
        proxy.heal()
        await sender.until_status("sent")

    assert len(await sender.sandbox.messages()) == 1
    assert await sender.attempts() == [("sent", None)]


async def test_an_answer_is_written_however_often_its_commit_loses(sender: Sender) -> None:
    """Deadlocks and lock time-outs in a row, more than anybody counts: the message is out, once."""
    await sender.cluster.conn.execute(LOSE_OFTEN)
    async with sender.running():
        await sender.ask(text())
        await sender.until_status("sent")

    assert await sender.cluster.conn.fetchval("select last_value from losses") >= 30
    assert await sender.attempts() == [("sent", None)]
    assert await sender.deferred() == []
    assert len(await sender.sandbox.messages()) == 1


async def test_a_sender_that_is_stopped_hard_in_its_request_leaves_it_ambiguous(sender: Sender) -> None:
    customer = CUSTOMER[:-3] + "903"
    async with sender.running(DRAIN_SECONDS="0"):
        await sender.ask(text(customer=customer))
        await until(lambda: _accepted(sender, 1))
    async with sender.running():
        await sender.until_deferred("ambiguous")

    assert len(await sender.sandbox.messages()) == 1


async def test_a_draining_sender_finishes_what_it_has_in_hand(sender: Sender) -> None:
    await sender.sandbox.change(latency_ms=500)
    async with sender.running():
        for place in range(10):
            await sender.ask(text(f"c{place}", f"4917000{place}000"))
        await until(lambda: _accepted(sender, 10))
    sent = "select count(*) from message_tracking where status = 'sent'"

    assert await sender.cluster.conn.fetchval(sent) == 10
    assert await sender.cluster.depth("outbound-sender") == 0


async def test_messages_are_sent_once_and_in_order_without_redis(sender: Sender, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path)
    redis.start()
    async with AsyncExitStack() as stack:
        stack.callback(redis.kill)
        await stack.enter_async_context(sender.running(REDIS_URL=redis.url))
        await sender.ask(text("c0"))
        await sender.until_status("sent", "c0")
        redis.kill()
        for place in range(1, 11):
            await sender.ask(text(f"c{place}"))
        for place in range(1, 11):
            await sender.until_status("sent", f"c{place}")
    rows = await sender.cluster.conn.fetch("select wamid, client_message_id from message_tracking")
    ids = {row["wamid"]: row["client_message_id"] for row in rows}

    assert [ids[item["wamid"]] for item in await sender.sandbox.messages()] == [f"c{n}" for n in range(11)]


async def test_twenty_copies_at_two_replicas_without_redis_are_one_send(sender: Sender) -> None:
    async with sender.running(replicas=2, REDIS_URL="redis://127.0.0.1:1/0"):
        await asyncio.gather(*(sender.ask(text()) for _ in range(20)))
        await sender.until_status("sent")
        await sender.until_worked()
    assert len(await sender.sandbox.messages()) == 1


async def test_a_request_whose_claim_grew_old_is_not_started(sender: Sender) -> None:
    settings = sender.cluster.settings(WHATSAPP_API_URL=sender.url)
    api = CloudApi(settings, PATIENT)
    now = asyncio.get_running_loop().time()
    body = encode_body(OutboundMessage.model_validate(text()), CUSTOMER, "m:1")
    try:
        assert await api.send(NUMBER, body, now - PATIENT.claim_start_s - 1) == TooLate()
        assert await sender.sandbox.messages() == []
        assert isinstance(await api.send(NUMBER, body, now), Accepted)
    finally:
        await api.close()


async def test_a_host_that_can_be_reached_says_nothing_of_one_that_cannot(
    sender: Sender, tmp_path: Path
) -> None:
    # Given two numbers, the second of which has an API of its own whose name nobody resolves
    numbers = tmp_path / "numbers.json"
    numbers.write_text(json.dumps({"1002": {"token": "t", "api_url": "http://nowhere.invalid"}}))
    settings = sender.cluster.settings(WHATSAPP_API_URL=sender.url, WHATSAPP_NUMBERS_FILE=str(numbers))
    degraded: set[str] = set()
    api = CloudApi(settings, PATIENT, degraded)
    now = asyncio.get_running_loop().time
    body = encode_body(OutboundMessage.model_validate(text()), CUSTOMER, "m:1")

    try:
        assert isinstance(await api.send("1002", body, now()), Unable)
        assert isinstance(await api.send(NUMBER, body, now()), Accepted)
    finally:
        await api.close()

    [reason] = degraded

    assert "nowhere.invalid" in reason


async def test_a_paused_number_sends_nothing_and_goes_on_in_order_when_resumed(sender: Sender) -> None:
    conn = sender.cluster.conn
    await insert(conn, "business_numbers", phone_number_id=NUMBER, state="paused")
    async with sender.running():
        for place in range(3):
            await sender.ask(text(f"c{place}"))
        await until(lambda: _are_deferred(sender, 3))
        assert await sender.sandbox.messages() == []
        await conn.execute("update business_numbers set state = 'active', since = now()")
        for place in range(3):
            for reason in ("number_paused", "earlier_message"):
                await sender.release(reason)
            await sender.until_status("sent", f"c{place}")
    rows = await conn.fetch("select wamid from message_tracking order by seq")

    assert [item["wamid"] for item in await sender.sandbox.messages()] == [row["wamid"] for row in rows]


async def test_a_refusal_from_before_does_not_pause_a_number_that_was_resumed(sender: Sender) -> None:
    conn = sender.cluster.conn
    await insert(conn, "business_numbers", phone_number_id=NUMBER, state="active")
    async with sender.running():
        async with conn.transaction():
            await conn.execute("select from business_numbers for update")
            await sender.ask(text(customer=CUSTOMER[:-3] + "910"))
            await until(lambda: has_in_hand(sender.cluster))  # refused, about to pause the number
            await conn.execute("update business_numbers set since = clock_timestamp()")
        await sender.until_deferred("number_paused")

    assert await conn.fetchval("select state from business_numbers") == "active"


async def test_a_status_that_closes_the_attempt_before_its_time_out_proves_the_send(sender: Sender) -> None:
    conn = sender.cluster.conn
    sender.cluster.durations = replace(PATIENT, http_timeout_s=5.0)
    async with sender.running():
        await sender.ask(text(customer=CUSTOMER[:-3] + "903"))
        await until(lambda: _accepted(sender, 1))
        await conn.execute("update send_attempts set outcome = 'sent', wamid = 'wamid.A'")
        await conn.execute("update message_tracking set status = 'sent', wamid = 'wamid.A'")
        await sender.until_worked()

    assert await sender.deferred() == []
    assert await sender.attempts() == [("sent", None)]


async def test_a_status_retry_makes_another_attempt_of_a_sent_message(sender: Sender) -> None:
    conn = sender.cluster.conn
    async with sender.running():
        await sender.ask(text())
        first = await sender.until_status("sent")
        await conn.execute("update send_attempts set outcome = 'failed', error_code = '131000'")
        await sender.ask(text(), **RETRY)
        await until(lambda: _accepted(sender, 2))
        await until(lambda: _wamid_is_not(sender, first["wamid"]))
        await sender.ask(text(), **RETRY)
        await sender.ask(text("c2"))
        await sender.until_status("sent", "c2")

    assert await sender.attempts() == [("failed", "131000"), ("sent", None)]
    assert len(await sender.sandbox.messages()) == 3
    assert len(sender.cluster.told("outbound.sent")) == 2  # c1 once, c2


async def test_bytes_of_any_kind_are_dead_and_nothing_more(sender: Sender) -> None:
    bodies = {b"{", b"[]", b"\xff\xfe", b'{"client_message_id": "c\\u0000"}', b"x" * 2**21}
    async with sender.running():
        for body in bodies:
            await sender.cluster.publish("wa.outbound", "reply.x", body)
        await sender.ask(text())
        await until(lambda: _are_dead(sender, len(bodies)))
        await sender.until_status("sent")
    dead = await sender.cluster.take("dlq-handler")

    assert {item.body for item in dead} == bodies
    assert {item.headers["x-wabus-reason"] for item in dead} == {"invalid_payload"}
    assert len(await sender.sandbox.messages()) == 1
    assert await sender.cluster.conn.fetchval("select count(*) from message_tracking") == 1


async def _are_dead(sender: Sender, count: int) -> bool:
    return await sender.cluster.depth("dlq-handler") == count


async def test_senders_are_counted_though_one_lane_of_theirs_stands_still(cluster: Cluster) -> None:
    # Given two senders, neither of which consumes the lane of replies, and one of which only one lane
    async with await aio_pika.connect(cluster.rabbitmq_url) as connection:

        async def take(_: AbstractIncomingMessage) -> None: ...

        for queues in ((OUTBOUND_UTILITY, OUTBOUND_BULK), (OUTBOUND_BULK,)):
            channel = await connection.channel()
            for queue in queues:
                await (await channel.get_queue(queue, ensure=False)).consume(take)

        async def queue_state(queue: str) -> QueueState:
            found = (await cluster.channel.declare_queue(queue, passive=True)).declaration_result
            return QueueState(found.message_count or 0, found.consumer_count or 0)

        database, redis = Database(cluster.database_url), RedisClient("redis://127.0.0.1:1/0", FAST)
        limiter = RateLimiter(redis, observe_wait=lambda *_: None, durations=FAST)
        state = WorkerState("outbound-sender", Metrics())
        watch = Watch(database, queue_state, limiter, state, Metrics(), replace(FAST, gauges_s=0.02))
        looking = asyncio.create_task(watch.run())
        try:
            await until(lambda: limiter._local.consumers == 2)
        finally:
            looking.cancel()
            await asyncio.wait({looking})
            await database.close()
            await redis.close()


async def test_the_watch_says_when_there_is_no_scheduler(database_url: str) -> None:
    database = Database(database_url)
    metrics = Metrics()
    state = WorkerState("outbound-sender", metrics)
    redis = RedisClient("redis://127.0.0.1:1/0", FAST)
    limiter = RateLimiter(redis, observe_wait=lambda *_: None, durations=FAST)
    durations = replace(FAST, scheduler_lease_stale_s=0.1, gauges_s=0.02)

    async def no_queue(_: str) -> None:
        return None

    watch = Watch(database, no_queue, limiter, state, metrics, durations)
    looking = asyncio.create_task(watch.run())
    conn = await asyncpg.connect(database_url)
    try:
        await until(lambda: NO_SCHEDULER in state.degraded)
        await conn.execute(
            "insert into leases values ('scheduler', gen_random_uuid(), now() + interval '1 minute')"
        )
        await until(lambda: NO_SCHEDULER not in state.degraded)
        await insert(conn, "business_numbers", phone_number_id=NUMBER, state="paused")
        await insert(conn, "circuit_breakers", service=NUMBER, state="open")
        await until(lambda: b"wabus_number_paused 1.0" in metrics.expose())
        await until(lambda: b'paused_since_timestamp_seconds{phone_number_id="1001"}' in metrics.expose())
        await until(lambda: b'wabus_circuit_state{phone_number_id="1001"} 2.0' in metrics.expose())
        assert NO_SCHEDULER not in state.degraded
        assert not looking.done()
    finally:
        looking.cancel()
        await asyncio.wait({looking})
        await conn.close()
        await database.close()
        await redis.close()


async def test_an_outbound_customer_and_an_inbound_one_share_their_mapping(sender: Sender) -> None:
    mapping_id = await add_mapping(sender.cluster.conn, wa_id=CUSTOMER)
    async with sender.running():
        await sender.ask(text())
        assert (await sender.until_status("sent"))["mapping_id"] == mapping_id


async def _are_deferred(sender: Sender, count: int) -> bool:
    return len(await sender.deferred()) == count


async def _accepted(sender: Sender, count: int) -> bool:
    return len(await sender.sandbox.messages()) >= count


async def _wamid_is_not(sender: Sender, wamid: str) -> bool:
    return bool((await sender.row())["wamid"] != wamid)
