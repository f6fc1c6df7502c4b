"""What consuming promises, shown on the inbound resolver and real servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractIncomingMessage

from schema.migrator import latest_version
from shared.amqp.client import open_session
from shared.amqp.topology import DLX, build_topology
from shared.errors import StoreUnavailable
from shared.postgres.database import Database
from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from tests.support.waiting import until


@asynccontextmanager
async def behind_proxy(cluster: Cluster, variable: str, url: str) -> AsyncIterator[Proxy]:
    async with Proxy.before(url) as proxy:
        cluster.environ[variable] = proxy.url(url)
        yield proxy


async def test_while_postgresql_is_away_everything_waits_and_nothing_dies(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        behind_proxy(cluster, "DATABASE_URL", cluster.database_url) as proxy,
        cluster.running("inbound-resolver"),
    ):
        await send(cluster, message(1))
        await until(lambda: _is_marked_published(cluster))
        proxy.refuse()
        await send(cluster, message(2))
        await until(lambda: "consuming pauses" in caplog.text)
        await send(cluster, *(message(number) for number in range(3, 40)))
        await until(lambda: _has_ready(cluster))
        proxy.heal()
        await until(lambda: len(enriched(cluster)) == 39)

    assert [item["message_text"] for item in enriched(cluster)] == [f"message {n}" for n in range(1, 40)]
    assert await cluster.depth("dlq-handler") == 0
    assert await cluster.depth("inbound-resolver.retry.5s") == 0


@pytest.mark.parametrize("begins", ["before", "beside"])
async def test_a_read_only_postgresql_is_waited_for(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, begins: str
) -> None:
    """At the start, and in the midst of work."""
    if begins == "before":
        await set_read_only(cluster, "set default_transaction_read_only = on")
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        if begins == "beside":
            await until(lambda: len(enriched(cluster)) == 1)
            await set_read_only(cluster, "set default_transaction_read_only = on")
            await send(cluster, message(2))
        said = "trying again" if begins == "before" else "consuming pauses"
        await until(lambda: said in caplog.text)
        await set_read_only(cluster, "reset default_transaction_read_only")
        await until(lambda: len(enriched(cluster)) == (1 if begins == "before" else 2))

    assert await cluster.depth("dlq-handler") == 0


async def set_read_only(cluster: Cluster, how: str) -> None:
    """For every connection from now on."""
    name = await cluster.conn.fetchval("select current_database()")
    await cluster.conn.execute(f"alter database {name} {how}")
    await cluster.conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )


async def test_a_database_that_lets_nobody_in_is_a_store_that_is_away(
    servers: Servers, database_url: str
) -> None:
    """Whatever it says of that: no message is to blame for a statement that was never made."""
    admin = await asyncpg.connect(servers.database_url)
    database = Database(database_url)
    try:
        await admin.execute(f"alter database {urlsplit(database_url).path[1:]} allow_connections false")
        with pytest.raises(StoreUnavailable, match="not currently accepting connections"):
            await database.fetchval("select 1")
    finally:
        await database.close()
        await admin.close()


async def test_a_connection_that_asyncpg_loses_track_of_is_a_store_that_is_away(database_url: str) -> None:
    """It says so when a server ends between two steps of a statement; nothing else may come of it."""
    database = Database(database_url)
    try:
        with pytest.raises(StoreUnavailable):
            async with database.connection():
                raise asyncpg.InternalClientError(
                    "cannot switch to state 12; another operation is in progress"
                )
    finally:
        await database.close()


async def test_a_cut_connection_to_rabbitmq_loses_nothing(cluster: Cluster) -> None:
    async with (
        behind_proxy(cluster, "RABBITMQ_URL", cluster.rabbitmq_url) as proxy,
        cluster.running("inbound-resolver"),
    ):
        for start in range(0, 250, 50):
            await send(cluster, *(message(number) for number in range(start, start + 50)))
            proxy.cut()
        await until(lambda: len({item["wamid"] for item in enriched(cluster)}) == 250)

    assert await cluster.depth("dlq-handler") == 0


async def test_a_dead_letter_that_is_not_taken_waits_alone(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """With production's batches: one of them would wait for a full second one beside it."""
    waits = "copies for retry tiers or dead letters wait"
    full = await cluster.channel.declare_queue(
        "test.full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await cluster.channel.default_exchange.publish(aio_pika.Message(b"{}"), full.name)
    await full.bind(DLX, "#")
    async with cluster.running("inbound-resolver", BATCH_SIZE="150"):
        await cluster.publish("wa.inbound", "4917", b"no JSON")
        await until(lambda: caplog.text.count(waits) >= 2)
        for number in range(1, 6):
            await send(cluster, message(number))
            await until(lambda number=number: len(enriched(cluster)) == number)  # type: ignore[misc]
        assert "dead as invalid_payload" not in caplog.text
        await full.delete(if_empty=False)
        await until(lambda: "dead as invalid_payload" in caplog.text)


async def test_redelivered_messages_keep_each_customers_order(cluster: Cluster) -> None:
    """Some were in the hands of somebody who left, so few that RabbitMQ 3.10 gives them back in order."""
    bodies = [message(number, wa_id=f"49170000000{number % 4}") for number in range(80)]
    for body in bodies:
        await cluster.publish("wa.inbound", body["wa_id"], body)
    await until(lambda: _is_deep(cluster, 80))
    async with await aio_pika.connect(cluster.rabbitmq_url) as connection:
        channel = await connection.channel()
        await channel.set_qos(28)
        queue = await channel.get_queue("inbound-resolver", ensure=False)
        await queue.consume(_hold)
        await until(lambda: _is_deep(cluster, 52))
    await until(lambda: _is_deep(cluster, 80))
    async with cluster.running("inbound-resolver"):
        await until(lambda: len(enriched(cluster)) == 80)
    for customer in range(4):
        told = [item["wamid"] for item in enriched(cluster) if item["wa_id"].endswith(str(customer))]
        assert told == [body["wamid"] for body in bodies[customer::4]]


async def test_a_consumer_that_the_broker_cancels_is_restored(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.durations = replace(cluster.durations, consumer_restore_s=60.0)
    async with cluster.running("inbound-resolver"):
        await until(lambda: _consumers(cluster, 1))
        async with await aio_pika.connect(cluster.rabbitmq_url) as connection:
            channel = await connection.channel()
            await channel.queue_delete("inbound-resolver")
            await until(lambda: "Cannot consume inbound-resolver" in caplog.text)
            async with open_session(cluster.rabbitmq_url) as session:
                await session.declare(build_topology(cluster.durations))
        await until(lambda: _consumers(cluster, 1))
        await send(cluster, message(1))
        await until(lambda: len(enriched(cluster)) == 1)

    assert enriched(cluster)[0]["wamid"] == message(1)["wamid"]


async def test_without_redis_messages_are_resolved_all_the_same(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, publish_claim_s=30.0)
    async with (
        behind_proxy(cluster, "REDIS_URL", cluster.redis_url) as proxy,
        cluster.running("inbound-resolver", "inbound-resolver"),
    ):
        proxy.refuse()
        await send(cluster, *(message(number % 10) for number in range(100)))
        await until(lambda: len(enriched(cluster)) == 10)

    assert await cluster.conn.fetchval("select count(*) from message_tracking") == 10


async def test_bytes_in_hand_are_bounded_and_all_is_worked(cluster: Cluster) -> None:
    cluster.durations = replace(cluster.durations, inflight_bytes=300_000)
    filler = "x" * 100_000
    await send(cluster, *(message(number, content={"filler": filler}) for number in range(12)))
    async with cluster.running("inbound-resolver", BATCH_SIZE="5"):
        await until(lambda: len({item["wamid"] for item in enriched(cluster)}) == 12)

    assert await cluster.depth("dlq-handler") == 0


async def test_a_worker_on_an_unprepared_database_says_so_and_ends(
    cluster: Cluster, empty_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.environ["DATABASE_URL"] = empty_database
    with pytest.raises(AssertionError):
        async with cluster.running("inbound-resolver"):
            await until(lambda: "wabus migrate" in caplog.text)

    assert f"version 0, this program needs {latest_version()}" in caplog.text


async def _consumers(cluster: Cluster, count: int) -> bool:
    declared = await cluster.channel.declare_queue("inbound-resolver", passive=True)
    return declared.declaration_result.consumer_count == count


async def _hold(_: AbstractIncomingMessage) -> None:
    """Neither acknowledged nor given back."""


async def _is_deep(cluster: Cluster, depth: int) -> bool:
    return await cluster.depth("inbound-resolver") == depth


async def _is_marked_published(cluster: Cluster) -> bool:
    """Told alone is not done: what is told and not marked is told again, under the same key."""
    return bool(await cluster.conn.fetchval("select count(published_at) from message_tracking"))


async def _has_ready(cluster: Cluster) -> bool:
    return await cluster.depth("inbound-resolver") > 0
