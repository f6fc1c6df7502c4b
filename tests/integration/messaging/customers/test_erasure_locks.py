"""`wabus profile erase` locks last and briefly: the next message of the person waits for no search of it."""

import asyncio
from typing import Final

import asyncpg

from tests.support.cluster import Cluster
from tests.support.leftovers import lock_waiters
from tests.support.program import Outcome, run_wabus
from tests.support.rows import add_mapping
from tests.support.waiting import until

PHONE: Final = "491700000001"
#: More than go in one transaction.
MESSAGES: Final = 500


async def add_history(cluster: Cluster) -> None:
    mapping = await add_mapping(cluster.conn, wa_id=PHONE)
    await cluster.conn.execute(
        "insert into message_tracking (mapping_id, direction, status, wamid) "
        "select $1, 'OUTBOUND', 'read', 'wamid.' || n from generate_series(1, $2) as n",
        mapping,
        MESSAGES,
    )


def erasing(cluster: Cluster, *options: str) -> "asyncio.Task[Outcome]":
    arguments = ("profile", "erase", PHONE, "--json", *options)
    return asyncio.create_task(run_wabus(*arguments, environ=cluster.environment()))


async def until_it_waits(cluster: Cluster) -> None:
    async def is_waiting() -> bool:
        return await lock_waiters(cluster.conn) == 1

    await until(is_waiting)


async def write_to_us(cluster: Cluster) -> None:
    """As the person does, until the resolver has told of it."""
    message = {"wamid": "wamid.new", "timestamp": "2026-01-15T10:30:00Z", "wa_id": PHONE}
    await cluster.publish("wa.inbound", PHONE, message | {"phone_number_id": "1001", "message_text": "hello"})
    await until(lambda: len(cluster.told("inbound.enriched")) == 1)


async def test_while_it_searches_nobody_is_locked_out(cluster: Cluster) -> None:
    await add_history(cluster)
    other = await asyncpg.connect(cluster.database_url)
    async with cluster.running("inbound-resolver"):
        async with other.transaction():
            await other.execute("lock table dead_letter_queue")
            erasure = erasing(cluster, "--yes")
            await until_it_waits(cluster)
            await other.fetch("select from conversation_mappings for update nowait")
            await other.fetch("select from message_tracking for update nowait")
        assert (await erasure).json["rows"]["message_tracking"] == MESSAGES
    await other.close()


async def test_while_a_long_history_goes_the_person_can_write(cluster: Cluster) -> None:
    """What they write before their conversation goes, goes with it."""
    await add_history(cluster)
    other = await asyncpg.connect(cluster.database_url)
    async with cluster.running("inbound-resolver"):
        async with other.transaction():
            await other.fetch("select from message_tracking order by id desc limit 1 for update")
            erasure = erasing(cluster, "--yes")
            await until_it_waits(cluster)
            await write_to_us(cluster)
        assert (await erasure).json["rows"]["message_tracking"] == MESSAGES + 1
    await other.close()
    for table in ("conversation_mappings", "message_tracking"):
        assert await cluster.conn.fetchval(f"select count(*) from {table}") == 0


async def test_a_dry_run_keeps_the_person_from_nothing_either(cluster: Cluster) -> None:
    await add_history(cluster)
    other = await asyncpg.connect(cluster.database_url)
    async with cluster.running("inbound-resolver"):
        async with other.transaction():
            await other.fetch("select from message_tracking order by id desc limit 1 for update")
            rehearsal = erasing(cluster, "--dry-run")
            await until_it_waits(cluster)
            await write_to_us(cluster)
        assert (await rehearsal).json["rows"]["message_tracking"] == MESSAGES
    await other.close()

    assert await cluster.conn.fetchval("select count(*) from message_tracking") == MESSAGES + 1


async def test_an_erasure_that_ended_half_way_is_done_to_its_end_by_the_next(cluster: Cluster) -> None:
    await add_history(cluster)
    other = await asyncpg.connect(cluster.database_url)
    async with other.transaction():
        await other.fetch("select from message_tracking order by id desc limit 1 for update")
        first = await erasing(cluster, "--yes")  # a lock is waited for only so long
    assert first.code == 1
    left = await cluster.conn.fetchval("select count(*) from message_tracking")
    second = await erasing(cluster, "--yes")
    assert 0 < left < MESSAGES
    assert second.json["rows"]["message_tracking"] == left
    assert await cluster.conn.fetchval("select count(*) from conversation_mappings") == 0
    await other.close()
