"""Everybody locks rows in one order, so that nobody waits for who waits for them."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from shared.durations import DURATIONS
from shared.messaging.numbers.breaker import ApiHealth
from shared.messaging.numbers.breaker_store import CircuitStore
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from tests.integration.scheduler.test_scheduler import ambiguous
from tests.support.cluster import Cluster
from tests.support.rows import Connection, insert
from tests.support.waiting import until

WELL = ApiHealth(uuid4(), answered=True)
ILL = ApiHealth(uuid4(), answered=False)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.mark.parametrize(("well", "ill"), [("1001", "1002"), ("1002", "1001")])
async def test_breakers_are_locked_in_the_order_of_their_numbers_whatever_is_done_with_each(
    conn: Connection, database: Database, database_url: str, well: str, ill: str
) -> None:
    """Two senders note two flapping numbers, one well and one ill, and the other way round."""
    for service in ("1001", "1002"):
        await insert(conn, "circuit_breakers", service=service, failures=2)
    circuits = CircuitStore(Metrics(), DURATIONS)

    async def note() -> None:
        async with database.transaction() as connection:
            await circuits.note(connection, {well: [WELL], ill: [ILL]})

    async with asyncio.TaskGroup() as group:
        async with conn.transaction():
            await conn.execute("select from circuit_breakers where service = '1001' for update")
            group.create_task(note())
            await until(lambda: _wait_for_locks(database_url, 1))
            free = await database.fetch("select service from circuit_breakers for update skip locked")
        assert [row["service"] for row in free] == ["1002"]

    rows = await conn.fetch("select service, failures from circuit_breakers")

    assert {row["service"]: row["failures"] for row in rows} == {well: 0, ill: 3}


async def test_a_number_that_answers_and_is_well_is_not_locked(conn: Connection, database: Database) -> None:
    await insert(conn, "circuit_breakers", service="1001")
    circuits = CircuitStore(Metrics(), DURATIONS)
    async with conn.transaction():
        await conn.execute("select from circuit_breakers for update")
        async with database.transaction() as connection:
            await circuits.note(connection, {"1001": [WELL]})


async def test_the_reconciliation_leaves_alone_what_somebody_is_at(cluster: Cluster) -> None:
    """A message is locked before what belongs to it: who has it may want its attempt and its deferred row."""
    taken = await ambiguous(cluster, lane="bulk")
    await cluster.conn.execute("update message_tracking set client_message_id = 'c-0'")
    free = await ambiguous(cluster, lane="bulk")
    status = "select status from message_tracking where id = $1"
    async with cluster.running("scheduler"):
        worker = await asyncpg.connect(cluster.database_url)
        try:
            async with worker.transaction():
                await worker.execute("select from message_tracking where id = $1 for update", taken)
                await until(lambda: _is(cluster, status, free, "failed"))
                await worker.execute(
                    "select from send_attempts where message_id = $1 for update nowait", taken
                )
                await worker.execute(
                    "select from deferred_messages where message_id = $1 for update nowait", taken
                )
            await until(lambda: _is(cluster, status, taken, "failed"))
        finally:
            await worker.close()


async def _is(cluster: Cluster, query: str, message_id: object, value: str) -> bool:
    return bool(await cluster.conn.fetchval(query, message_id) == value)


async def _wait_for_locks(database_url: str, count: int) -> bool:
    """Whether so many sessions wait for a lock in this database."""
    connection = await asyncpg.connect(database_url)
    try:
        waiting = await connection.fetchval(
            "select count(*) from pg_stat_activity"
            " where datname = current_database() and wait_event_type = 'Lock'"
        )
    finally:
        await connection.close()
    return bool(waiting == count)
