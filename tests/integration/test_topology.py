"""The topology on a real broker: what its arguments promise there."""

import asyncio
from urllib.parse import urlsplit

import aio_pika
import pytest

from shared.amqp.declare import declare_topology, find_missing
from shared.amqp.pika import PikaBroker
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, build_topology
from shared.running.ending import end_tasks
from tests.support.cluster import (
    FAST,
    Cluster,
    drop_virtual_host,
    make_virtual_host,
    new_virtual_host,
)
from tests.support.dead_letters import publish_raw
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.mark.parametrize("queue", [DLQ_HANDLER, ENRICHED])
async def test_a_queue_without_a_limit_keeps_what_is_delivered_again_and_again(
    cluster: Cluster, queue: str
) -> None:
    await publish_raw(cluster, "", queue, b"kept")
    source = await cluster.channel.get_queue(queue, ensure=False)
    refused = 0

    async def is_refused_often() -> bool:
        nonlocal refused
        message = await source.get(fail=False)
        if message is not None:
            await message.reject(requeue=True)
            refused += 1
        return refused == 30

    await until(is_refused_often)
    await until(lambda: _is_there(cluster, queue))
    assert await cluster.depth("dlq-handler") == int(queue == DLQ_HANDLER)


async def test_a_server_that_lost_its_topology_is_given_it_again(servers: Servers) -> None:
    topology = build_topology(FAST)
    with new_virtual_host(servers) as url:
        async with await aio_pika.connect(url) as connection:
            await declare_topology(connection, topology)
        broker = PikaBroker(url, "test", topology, FAST)
        async with asyncio.TaskGroup() as tasks:
            await broker.run(tasks)
            name = urlsplit(url).path.removeprefix("/")
            drop_virtual_host(servers, name)
            await until(lambda: not broker.is_up)
            make_virtual_host(servers, name)
            await until(lambda: broker.is_up)
            async with await aio_pika.connect(url) as connection:
                missing = await find_missing(connection, topology)
            await end_tasks(broker.tasks)
    assert missing == []


async def _is_there(cluster: Cluster, queue: str) -> bool:
    return await cluster.depth(queue) == 1
