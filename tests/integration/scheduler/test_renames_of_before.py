"""Customers of before under the notation that WhatsApp does not use: renamed many at a time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from shared.coordination.client import RedisClient
from shared.coordination.keys import customer_key
from shared.errors import StoreConflict
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.renaming import Renames
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from tests.support.before import count, write_as_before
from tests.support.cluster import Cluster
from tests.support.rows import add_campaign, insert

PEOPLE: Final = 300
#: In one notation alone, each with a conversation, a profile and a place in a list.
FILL: Final = """
with people as (select '553198' || 8000000 + n as address from generate_series(1, $1) as n),
mapped as (
    insert into conversation_mappings (wa_id, phone_number_id, conversation_id)
    select address, '1001', 'conversation ' || address from people
), listed as (
    insert into broadcast_recipients (campaign_id, wa_id) select 'spring', address from people
)
insert into customer_profiles (phone, opt_in_marketing) select address, false from people
"""
#: People of whom everything goes by the name that WhatsApp gives them.
WHOLE: Final = """
select count(*)
from generate_series(1, $1) as n,
     lateral (select '55318' || 8000000 + n, '553198' || 8000000 + n) as one (customer, dialed)
where exists (select from conversation_mappings as mapping
              where mapping.customer = one.customer and mapping.wa_id = one.dialed
                and mapping.status = 'active')
  and exists (select from broadcast_recipients as recipient
              where recipient.customer = one.customer and recipient.status = 'pending')
  and exists (select from customer_profiles as profile where profile.phone = one.customer
                and not opt_in_marketing)
  and not exists (select from customer_profiles as profile where profile.phone = one.dialed)
"""


def dialed(number: int) -> str:
    return f"553198{8000000 + number}"


def written(number: int) -> str:
    return f"55318{8000000 + number}"


ALL: Final = {dialed(number): written(number) for number in range(1, PEOPLE + 1)}


@pytest.fixture
async def redis(cluster: Cluster) -> AsyncIterator[RedisClient]:
    client = RedisClient(cluster.redis_url, cluster.durations)
    yield client
    await client.close()


@pytest.fixture
async def renames(cluster: Cluster, redis: RedisClient) -> AsyncIterator[Renames]:
    database = Database(cluster.database_url, size=2)
    yield Renames(database, MappingCache(redis, observe=Metrics().count_cache))
    await database.close()


@pytest.fixture(autouse=True)
async def people(cluster: Cluster) -> None:
    await add_campaign(cluster.conn)
    await write_as_before(cluster.conn, FILL, PEOPLE)


async def test_everything_of_a_person_takes_the_name_and_nothing_is_told(
    cluster: Cluster, renames: Renames
) -> None:
    await renames.rename(ALL)

    assert await cluster.conn.fetchval(WHOLE, PEOPLE) == PEOPLE
    assert await count(cluster.conn, "outbox_events") == 0


async def test_twice_at_once_ends_the_same(cluster: Cluster, renames: Renames) -> None:
    results = await asyncio.gather(*(renames.rename(ALL) for _ in range(2)), return_exceptions=True)

    assert all(result is None or isinstance(result, StoreConflict) for result in results)
    assert None in results
    assert await cluster.conn.fetchval(WHOLE, PEOPLE) == PEOPLE


@pytest.mark.parametrize(
    "statement",
    [
        "insert into conversation_mappings (wa_id, customer, phone_number_id) values ($1, $1, '1002')",
        "insert into broadcast_recipients (campaign_id, wa_id, customer) values ('spring', $1, $1)",
        "insert into customer_profiles (phone) values ($1)",
        "insert into customer_addresses (address, phone, kind, source)"
        " values ($1, '491700000009', 'phone', 'operator')",
    ],
)
async def test_whoever_is_somebody_under_the_other_notation_is_left_to_a_join(
    cluster: Cluster, renames: Renames, statement: str
) -> None:
    await cluster.conn.execute(statement, written(1))

    await renames.rename(ALL)

    assert await count(cluster.conn, f"customer_profiles where phone = '{dialed(1)}'") == 1
    assert await cluster.conn.fetchval(WHOLE, PEOPLE) == PEOPLE - 1


async def test_a_batch_goes_back_as_a_whole_where_a_message_holds_one_of_them(
    cluster: Cluster, renames: Renames
) -> None:
    holder = await asyncpg.connect(cluster.database_url)
    try:
        async with holder.transaction():
            await holder.execute(
                "update conversation_mappings set updated_at = now() where wa_id = $1", dialed(9)
            )
            with pytest.raises(StoreConflict):
                await renames.rename(ALL)
            kept = await count(cluster.conn, "customer_profiles where phone ~ '^553198'")
    finally:
        await holder.close()
    await renames.rename(ALL)

    assert kept == PEOPLE
    assert await cluster.conn.fetchval(WHOLE, PEOPLE) == PEOPLE


async def test_conversations_that_open_meanwhile_leave_no_person_in_two_names(
    cluster: Cluster, renames: Renames
) -> None:
    # Workers of before, which open whoever writes under either notation
    async def open_others() -> None:
        conn = await asyncpg.connect(cluster.database_url)
        for number in range(PEOPLE, 0, -1):
            await conn.execute(
                "insert into conversation_mappings (wa_id, phone_number_id) values ($1, '1001')"
                " on conflict do nothing",
                dialed(number),
            )
        await conn.close()

    await asyncio.gather(open_others(), _until_renamed(renames))

    assert await count(cluster.conn, "conversation_mappings where status = 'active'") == PEOPLE
    assert await cluster.conn.fetchval(WHOLE, PEOPLE) == PEOPLE


async def test_what_waits_to_be_sent_and_what_is_cached_follow(
    cluster: Cluster, redis: RedisClient, renames: Renames
) -> None:
    place = {"queue": "outbound.ready", "exchange": "wa.outbound", "routing_key": "ready", "reason": "rate"}
    await insert(
        cluster.conn, "deferred_messages", phone_number_id="1001", customer=dialed(1), body=b"{}", **place
    )
    key = customer_key("1001", dialed(1))
    await redis.command("SET", key, b"kept under the earlier name")

    await renames.rename(ALL)

    assert await cluster.conn.fetchval("select customer from deferred_messages") == written(1)
    assert await redis.command("GET", key) is None


async def _until_renamed(renames: Renames) -> None:
    while True:
        try:
            return await renames.rename(ALL)
        except StoreConflict:
            continue
