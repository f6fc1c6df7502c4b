"""Rows that were there before a customer had a name of its own, read by the scheduler on real servers."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Final

from shared.amqp.client import lend_publisher
from shared.coordination.client import RedisClient
from shared.durable.outbox import Outbox
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.before import RowsOfBefore
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from tests.support.before import PEOPLE, add_people_of_before, count, judge_people, write_as_before
from tests.support.cluster import Cluster
from tests.support.rows import NOON, add_campaign, insert
from tests.support.upkeep import read_gauge
from workers.scheduler.before import BeforeJob

#: As WhatsApp writes it, and as people dial it: in areas from 31 up it drops the ninth digit.
SHORT: Final = "553187654321"
LONG: Final = "5531987654321"


async def test_two_at_once_end_the_same(cluster: Cluster) -> None:
    await add_people_of_before(cluster.conn, PEOPLE)
    async with AsyncExitStack() as stack:
        jobs = [await _job(cluster, stack) for _ in range(2)]
        named = await asyncio.gather(*(_run_to_the_end(job) for job in jobs))

    assert min(named) > 0
    await judge_people(cluster.conn, PEOPLE)


async def test_profiles_and_recipients_of_before_follow(cluster: Cluster) -> None:
    # Given a refusal under the notation that nobody asks for, and a list with both notations of one person
    await insert(cluster.conn, "customer_profiles", phone=LONG, opt_in_marketing=False)
    await insert(cluster.conn, "customer_profiles", phone=SHORT, opt_in_marketing=True)
    await add_campaign(cluster.conn)
    await write_as_before(
        cluster.conn,
        "insert into broadcast_recipients (campaign_id, wa_id) values ('spring', $1), ('spring', $2)",
        SHORT,
        LONG,
    )
    async with AsyncExitStack() as stack:
        await _run_to_the_end(await _job(cluster, stack))

    profiles = await cluster.conn.fetch("select phone, opt_in_marketing from customer_profiles")
    assert [tuple(row) for row in profiles] == [(SHORT, False)]
    recipients = await cluster.conn.fetch("select customer, status, skip_reason from broadcast_recipients")
    assert Counter(map(tuple, recipients)) == {
        (SHORT, "pending", None): 1,
        (SHORT, "skipped", "same_customer"): 1,
    }


async def test_addresses_of_before_are_remembered_with_their_times(cluster: Cluster) -> None:
    await add_people_of_before(cluster.conn, 1)
    async with AsyncExitStack() as stack:
        await _run_to_the_end(await _job(cluster, stack))

    rows = await cluster.conn.fetch(
        "select address, phone, first_seen_at from customer_addresses where address !~ '^55'"
    )
    assert {tuple(row) for row in rows} == {
        ("4915100000001", "4915100000001", NOON),
        ("4915200000001", "4915200000001", NOON),
        ("DE.a1", "4915200000001", NOON),
    }


async def test_what_is_done_costs_a_look_into_an_empty_index(cluster: Cluster) -> None:
    await add_people_of_before(cluster.conn, 10)
    async with AsyncExitStack() as stack:
        job = await _job(cluster, stack)
        await _run_to_the_end(job)
        before = await count(cluster.conn, "outbox_events")

        assert await job.run() == 0

    assert await count(cluster.conn, "outbox_events") == before
    gauge = {"conversation_mappings": 0, "broadcast_recipients": 0}
    assert await read_gauge(cluster.conn, "customer_addresses") == gauge


async def _job(cluster: Cluster, stack: AsyncExitStack) -> BeforeJob:
    """As the scheduler composes it, with small pages."""
    database = Database(cluster.database_url, size=2)
    stack.push_async_callback(database.close)
    redis = RedisClient(cluster.redis_url, cluster.durations)
    stack.push_async_callback(redis.close)
    publisher = await stack.enter_async_context(
        lend_publisher(cluster.rabbitmq_url, "test", cluster.durations)
    )
    metrics = Metrics()
    outbox = Outbox(database, publisher, cluster.durations)
    cache = MappingCache(redis, observe=metrics.count_cache)
    return BeforeJob(database, RowsOfBefore(database, outbox, cache, metrics), rows=50)


async def _run_to_the_end(job: BeforeJob) -> int:
    total = 0
    while named := await job.run():
        total += named
    return total
