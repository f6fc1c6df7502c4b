"""Behind PgBouncer in transaction mode, where each transaction may be another session's."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from schema.migrator import load_migrations, migrate
from shared.errors import StoreLocked
from shared.postgres.database import Database
from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.databases import WORKER, with_login
from tests.support.postgres_server import pgbouncer
from tests.support.program import run_wabus
from tests.support.servers import Servers
from tests.support.waiting import until


def logins(servers: Servers) -> dict[str, str]:
    parts = urlsplit(servers.database_url)
    return {parts.username or "postgres": parts.password or "", WORKER: WORKER}


#: What a pooler may be told to pass over; one that is not told refuses them.
SESSION = "enable_seqscan, jit, idle_in_transaction_session_timeout, statement_timeout, lock_timeout"


@pytest.fixture(params=["", SESSION], ids=["refusing", "ignoring"])
def pooled_url(request: pytest.FixtureRequest, servers: Servers, database_url: str) -> Iterator[str]:
    """The test's database by way of a PgBouncer."""
    with pgbouncer(database_url, logins(servers), request.param) as url:
        yield url


async def test_no_message_dies_behind_a_pooler(cluster: Cluster, pooled_url: str) -> None:
    cluster.environ["DATABASE_URL"] = with_login(pooled_url, WORKER, WORKER)
    async with cluster.running("inbound-resolver", "inbound-resolver", "status-updater", "scheduler"):
        await send(cluster, *(message(number, wa_id=f"4917000{number:06}") for number in range(300)))
        await until(lambda: len({item["wamid"] for item in enriched(cluster)}) == 300)

    assert await cluster.depth("dlq-handler") == 0
    assert await cluster.depth("inbound-resolver.retry.5s") == 0


async def test_statements_of_many_at_once_never_meet_each_others(pooled_url: str) -> None:
    databases = [Database(pooled_url) for _ in range(4)]

    async def ask(number: int) -> bool:
        """Some statements again and again, on whichever session is free."""
        asked = databases[number % 4].fetchval(f"select $1::integer + {number % 7}", number)
        return bool(await asked == number + number % 7)

    try:
        answers = await asyncio.gather(*(ask(number) for number in range(300)))
    finally:
        await asyncio.gather(*(database.close() for database in databases))

    assert all(answers)


async def test_behind_a_pooler_each_transaction_has_the_settings_of_a_session(pooled_url: str) -> None:
    holder, other = Database(pooled_url), Database(pooled_url, lock_wait_s=0.1)
    try:
        async with holder.transaction() as connection:
            await connection.execute("lock table message_tracking")
            with pytest.raises(StoreLocked):
                await other.execute("delete from message_tracking")
        assert await other.fetchval("show enable_seqscan") == "off"
        assert await other.fetchval("select '{\"a\": 1}'::jsonb") == {"a": 1}
    finally:
        await holder.close()
        await other.close()


async def test_without_a_pooler_statements_are_prepared_once_and_nothing_is_wrapped(
    database_url: str,
) -> None:
    database = Database(database_url)
    try:
        assert not await database.is_behind_pooler()
        async with database.connection() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("select count(*) from pg_prepared_statements") > 0
    finally:
        await database.close()


async def test_migrators_at_once_work_behind_a_pooler(servers: Servers, empty_database: str) -> None:
    with pgbouncer(empty_database, logins(servers)) as url:
        up = await asyncio.gather(*(migrate(url) for _ in range(5)))
        down = await asyncio.gather(*(migrate(url, to=0) for _ in range(5)))

    known = [(migration.version, migration.name) for migration in load_migrations()]
    assert sorted((step.version, step.name) for steps in up for step in steps) == known
    assert sorted((step.version, step.name) for steps in down for step in steps) == known


async def test_doctor_names_the_pooler(cluster: Cluster, pooled_url: str) -> None:
    outcome = await run_wabus("doctor", "--json", environ=cluster.environment(DATABASE_URL=pooled_url))

    found = {(item["subject"], item["check"]): item["level"] for item in outcome.json["findings"]}

    assert found["postgresql", "pooler"] == "ok"
