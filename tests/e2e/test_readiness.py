"""Readiness of a worker process on real servers: steady under load, and gone with a server that it needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aio_pika
import orjson

from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message
from tests.support.cluster import Cluster
from tests.support.http import get
from tests.support.processes import Processes
from tests.support.proxy import Proxy
from tests.support.waiting import until

PROBES = 60
#: Messages whose confirms are out together: more than a worker has done before the next ones come.
_BURST = 300
#: An answer of a server that takes longer is slow.
_SLOW_MS = 1000


async def test_a_worker_under_full_load_is_ready_at_each_probe(
    cluster: Cluster, processes: Processes
) -> None:
    worker = processes.start_shipped("inbound-resolver")
    await worker.until_ready()
    url = await worker.url()
    await until(lambda: is_ready(url))

    async with full_load(cluster):
        await until(lambda: len(enriched(cluster)) > _BURST)
        codes = [(await get(url, "/health/ready"))[0] for _ in range(PROBES)]
        await until(lambda: len(enriched(cluster)) > 2 * _BURST)

    assert codes == [200] * PROBES


async def test_a_server_that_is_slow_leaves_a_worker_ready_and_one_that_is_away_does_not(
    cluster: Cluster, processes: Processes
) -> None:
    async with Proxy.before(cluster.database_url) as proxy:
        worker = processes.start_shipped("inbound-resolver", DATABASE_URL=proxy.url(cluster.database_url))
        await worker.until_ready()
        url = await worker.url()
        await until(lambda: is_ready(url))
        codes: list[int] = []

        async def has_answered_slowly() -> bool:
            codes.append((await get(url, "/health/ready"))[0])
            return float((await get(url, "/health"))[1]["checks"]["database"]["latency_ms"]) > _SLOW_MS

        proxy.slow(latency_s=0.3)  # two round trips
        await until(has_answered_slowly)
        proxy.heal()
        assert set(codes) == {200}

        proxy.refuse()
        await until(lambda: is_unready(url))
        proxy.heal()
        await until(lambda: is_ready(url))


@asynccontextmanager
async def full_load(cluster: Cluster) -> AsyncIterator[None]:
    """Messages of as many customers as there are messages, as fast as RabbitMQ takes them."""
    exchange = await cluster.channel.get_exchange("wa.inbound", ensure=False)

    async def publish() -> None:
        for number in count():
            body = message(number, f"4917{number:08}")
            confirm = exchange.publish(aio_pika.Message(orjson.dumps(body)), body["wa_id"])
            pending.add(asyncio.ensure_future(confirm))
            if len(pending) >= _BURST:
                await asyncio.gather(*pending)
                pending.clear()

    pending: set[asyncio.Future[Any]] = set()
    publishing = asyncio.create_task(publish())
    try:
        yield
    finally:
        publishing.cancel()
        await asyncio.wait([publishing, *pending])


async def is_ready(url: str) -> bool:
    return (await get(url, "/health/ready"))[0] == 200


async def is_unready(url: str) -> bool:
    code, why = await get(url, "/health/ready")
    return code == 503 and "database check failed" in why["reasons"]
