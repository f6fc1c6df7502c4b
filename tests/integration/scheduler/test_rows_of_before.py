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
from tests.support.cluster import Cluster
from tests.support.processes import Processes
from tests.support.rows import NOON, Connection, add_campaign, insert
from tests.support.upkeep import read_gauge
from tests.support.waiting import until
from workers.scheduler.before import BeforeJob

#: As WhatsApp writes it, and as people dial it: in areas from 31 up it drops the ninth digit.
SHORT: Final = "553187654321"
LONG: Final = "5531987654321"
PEOPLE: Final = 500
#: Of each of these many: a phone alone; one in two notations; one with an id that wrote by itself, too.
FILL: Final = """
insert into conversation_mappings (wa_id, user_id, phone_number_id, conversation_id, first_message_id, created_at)
select wa_id, user_id, '1001', 'conversation ' || wa_id, 'wamid.' || wa_id, $2
from generate_series(1, $1) as n, lateral (values
    ((4915100000000 + n)::text, null),
    ('55318' || 7000000 + n, null), ('553198' || 7000000 + n, null),
    ((4915200000000 + n)::text, 'DE.a' || n), ('DE.a' || n, 'DE.a' || n)
) as row (wa_id, user_id)
"""
#: People to whose one open conversation not both of their earlier ids lead.
LOST: Final = """
select count(*)
from generate_series(1, $1) as n, lateral (values
    ('55318' || 7000000 + n, '553198' || 7000000 + n), ((4915200000000 + n)::text, 'DE.a' || n)
) as row (customer, beside), lateral (values ('conversation ' || customer), ('conversation ' || beside)) as id (given)
where (select count(*) from conversation_mappings as mapping
       where mapping.customer = row.customer and mapping.status = 'active'
         and (mapping.conversation_id = given
              or exists (select from conversation_aliases as alias
                         where alias.mapping_id = mapping.id and alias.conversation_id = given))) <> 1
"""
LEFT: Final = "conversation_mappings where customer is null"


async def count(conn: Connection, what: str) -> int:
    return int(await conn.fetchval(f"select count(*) from {what}"))


async def write_as_before(conn: Connection, statement: str, *arguments: object) -> None:
    """As workers did before the migration."""
    for table in ("conversation_mappings", "broadcast_recipients"):
        await conn.execute(f"alter table {table} disable trigger user")
    await conn.execute(statement, *arguments)
    for table in ("conversation_mappings", "broadcast_recipients"):
        await conn.execute(f"alter table {table} enable trigger user")


async def judge(cluster: Cluster) -> None:
    """Each person has one open conversation, to which every id that was given out leads; and it is told once."""
    conn = cluster.conn
    assert await count(conn, LEFT) == 0
    assert await conn.fetchval(LOST, PEOPLE) == 0
    assert await count(conn, "conversation_mappings where status = 'active'") == 3 * PEOPLE
    assert await count(conn, "conversation_mappings where status = 'closed'") == 2 * PEOPLE
    told = await conn.fetch("select event_type, count(*) from outbox_events group by event_type")
    assert dict(told) == {"conversation.closed": 2 * PEOPLE, "customer.merged": 2 * PEOPLE}


async def test_rows_are_read_to_their_end_though_the_scheduler_is_killed_half_way(
    cluster: Cluster, processes: Processes
) -> None:
    await write_as_before(cluster.conn, FILL, PEOPLE, NOON)
    first = processes.start("scheduler")
    await until(lambda: _is_left(cluster, 3 * PEOPLE))
    first.end()
    left = await count(cluster.conn, LEFT)
    second = processes.start("scheduler")
    await until(lambda: _is_left(cluster, 0), timeout_s=120)
    await second.until_says("all rows of before name their customer now")

    assert 0 < left < 5 * PEOPLE
    await judge(cluster)


async def test_two_at_once_end_the_same(cluster: Cluster) -> None:
    await write_as_before(cluster.conn, FILL, PEOPLE, NOON)
    async with AsyncExitStack() as stack:
        jobs = [await _job(cluster, stack) for _ in range(2)]
        named = await asyncio.gather(*(_run_to_the_end(job) for job in jobs))

    assert min(named) > 0
    await judge(cluster)


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
    await write_as_before(cluster.conn, FILL, 1, NOON)
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
    await write_as_before(cluster.conn, FILL, 10, NOON)
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


async def _is_left(cluster: Cluster, most: int) -> bool:
    return await count(cluster.conn, LEFT) <= most
