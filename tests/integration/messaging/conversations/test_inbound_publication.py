"""An inbound message is published once, by the replica that has claimed it, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, TypeAlias

import pytest
from redis.asyncio import Redis

from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.leftovers import count, has_in_hand, nothing_waits, work_off
from tests.support.proxy import Proxy
from tests.support.waiting import until

_REPLICAS: Final = 20
_PUBLISHED: Final = "message_tracking where published_at is not null"

State: TypeAlias = Callable[[Cluster, Proxy], AsyncIterator[None]]


async def redis_up(cluster: Cluster, proxy: Proxy) -> AsyncIterator[None]:
    yield


async def redis_flushed(cluster: Cluster, proxy: Proxy) -> AsyncIterator[None]:
    """Every lock is lost as soon as it is taken."""
    is_over = asyncio.Event()  # the client may swallow a cancellation

    async def flush() -> None:
        async with Redis.from_url(cluster.redis_url) as redis:
            while not is_over.is_set():
                await redis.flushdb()
                await asyncio.sleep(0.001)

    async with asyncio.TaskGroup() as group:
        group.create_task(flush())
        try:
            yield
        finally:
            is_over.set()


async def redis_stopped(cluster: Cluster, proxy: Proxy) -> AsyncIterator[None]:
    proxy.refuse()
    yield
    proxy.heal()


@pytest.mark.parametrize("state", [redis_up, redis_flushed, redis_stopped])
async def test_twenty_replicas_with_the_same_message_publish_it_once(cluster: Cluster, state: State) -> None:
    """Two messages of one customer, each delivered to every replica, and again when they are published.

    A claim outlasts what twenty replicas in one process make each other wait.
    """
    cluster.durations = replace(cluster.durations, publish_claim_s=30.0)
    both = [message(1), message(2)]
    async with Proxy.before(cluster.redis_url) as proxy, asynccontextmanager(state)(cluster, proxy):
        for item in both * _REPLICAS:
            await send(cluster, item)
        url = proxy.url(cluster.redis_url)
        replicas = ["inbound-resolver"] * _REPLICAS
        async with cluster.running(*replicas, BATCH_SIZE="1", PREFETCH="1", REDIS_URL=url):
            await until(lambda: _is_published(cluster, 2))
            await asyncio.gather(*(send(cluster, item) for item in both * _REPLICAS))
            await until(lambda: nothing_waits(cluster))
    await work_off(cluster, "inbound-resolver")

    assert sorted(item["wamid"] for item in enriched(cluster)) == sorted(item["wamid"] for item in both)
    assert sum(item["is_new_conversation"] for item in enriched(cluster)) == 1
    assert await count(cluster, "message_tracking") == 2
    assert await count(cluster, "conversation_mappings") == 1


async def test_a_claim_of_a_dead_publisher_is_taken_over_without_a_retry(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.durations = replace(cluster.durations, publish_claim_s=2.0)
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        await until(lambda: _is_published(cluster, 1))
        await cluster.conn.execute(
            """update message_tracking
               set published_at = null, publish_claimed_by = gen_random_uuid(),
                   publish_claimed_until = now() + interval '2 seconds'"""
        )
        await send(cluster, message(1))
        await until(lambda: _is_published(cluster, 1))
    first, again = enriched(cluster)

    assert first == again | {"trace_id": first["trace_id"]}
    assert "is retried" not in caplog.text


async def test_a_publisher_keeps_its_claim_however_long_rabbitmq_takes(cluster: Cluster) -> None:
    """On a connection that is not given up meanwhile: what is published anew is claimed anew."""
    cluster.durations = replace(cluster.durations, publish_confirm_s=600.0)
    async with (
        Proxy.before(cluster.rabbitmq_url) as proxy,
        cluster.running("inbound-resolver", RABBITMQ_URL=f"{proxy.url(cluster.rabbitmq_url)}?heartbeat=600"),
    ):
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table message_tracking")
            await send(cluster, message(1))
            await until(lambda: has_in_hand(cluster))
            proxy.swallow()
        await until(lambda: _is_claimed_for(cluster, 2.5 * cluster.durations.publish_claim_s))
        assert not await _is_published(cluster, 1)
        proxy.heal()
        await until(lambda: _is_published(cluster, 1))

    assert len(enriched(cluster)) == 1


async def test_two_handlings_of_one_replica_publish_a_message_once_without_redis(cluster: Cluster) -> None:
    """Under two routing keys nothing but a lock of Redis keeps them apart."""
    cluster.durations = replace(cluster.durations, publish_claim_s=30.0)
    async with (
        Proxy.before(cluster.redis_url) as redis,
        Proxy.before(cluster.rabbitmq_url) as proxy,
        cluster.running(
            "inbound-resolver",
            BATCH_SIZE="1",
            RABBITMQ_URL=proxy.url(cluster.rabbitmq_url),
            REDIS_URL=redis.url(cluster.redis_url),
        ),
    ):
        redis.refuse()
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table message_tracking")
            for key in ("4917001", "4917002"):
                await cluster.publish("wa.inbound", key, message(1))
            await until(lambda: has_in_hand(cluster))
            await until(lambda: nothing_waits(cluster))
            proxy.swallow()
        await until(lambda: _is_claimed_for(cluster, 0.0))
        await asyncio.sleep(1)
        proxy.heal()
        await until(lambda: _is_published(cluster, 1))
        await until(lambda: nothing_waits(cluster))
    await work_off(cluster, "inbound-resolver")

    assert len(enriched(cluster)) == 1


async def test_a_copy_waits_for_its_publisher_and_does_not_die(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """More often than what fails of itself is retried."""
    cluster.durations = replace(cluster.durations, publish_claim_s=0.1)
    async with cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        await until(lambda: _is_published(cluster, 1))
        await cluster.conn.execute(
            """update message_tracking
               set published_at = null, publish_claimed_by = gen_random_uuid(),
                   publish_claimed_until = 'infinity'"""
        )
        await send(cluster, message(1))
        # in two whole runs a retry was not back within a minute; why is not known
        await until(lambda: "attempt 6 failed and is retried" in caplog.text, 240.0)
        await cluster.conn.execute("update message_tracking set published_at = now()")
        await until(lambda: nothing_waits(cluster))
    await work_off(cluster, "inbound-resolver")

    assert len(enriched(cluster)) == 1


async def _is_published(cluster: Cluster, messages: int) -> bool:
    return await count(cluster, _PUBLISHED) == messages


async def _is_claimed_for(cluster: Cluster, seconds: float) -> bool:
    """Whether a message is claimed until so long after it came."""
    rows = "message_tracking where publish_claimed_until > created_at + make_interval(secs => $1)"
    return await count(cluster, rows, seconds) == 1
