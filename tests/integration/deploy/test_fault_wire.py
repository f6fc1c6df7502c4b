"""The gateway of the fault rig: what it publishes arrives, and it knows what may have arrived twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue

from shared.amqp.topology import DLQ_HANDLER, UNROUTED
from tests.faults.wire import SteadyWire, acknowledge
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[Proxy]:
    async with Proxy.before(cluster.rabbitmq_url) as proxy:
        yield proxy


@pytest.fixture
async def wire(cluster: Cluster, proxy: Proxy) -> AsyncIterator[SteadyWire]:
    async with SteadyWire.opened(proxy.url(cluster.rabbitmq_url), Counter()) as wire:
        yield wire


async def test_what_is_confirmed_at_once_is_there_once(cluster: Cluster, wire: SteadyWire) -> None:
    await wire.publish(UNROUTED, "", b"calm")

    assert [message.body for message in await cluster.take(DLQ_HANDLER)] == [b"calm"]
    assert wire.repeated == set()


async def test_what_cannot_be_published_is_repeated_until_it_is_confirmed(
    cluster: Cluster, proxy: Proxy, wire: SteadyWire
) -> None:
    proxy.refuse()
    publishing = asyncio.create_task(wire.publish(UNROUTED, "", b"storm"))
    await until(lambda: b"storm" in wire.repeated)
    assert not publishing.done()

    proxy.heal()
    await publishing

    assert {message.body for message in await cluster.take(DLQ_HANDLER)} == {b"storm"}


async def test_what_a_full_queue_refuses_waits_and_keeps_nothing_else_waiting(
    cluster: Cluster, servers: Servers, wire: SteadyWire
) -> None:
    small = await cluster.channel.declare_queue("small", durable=True, arguments={"x-queue-type": "quorum"})
    bodies = [b"first", b"second", b"third", b"fourth"]
    async with asyncio.TaskGroup() as group, limited(cluster, servers, small.name):
        for body in bodies:
            group.create_task(wire.publish("", small.name, body))
            await asyncio.sleep(0.1)
        await until(lambda: bool(wire.repeated))
        await wire.publish(UNROUTED, "", b"calm")
        assert b"calm" not in wire.repeated

    assert {message.body for message in await take(small, 4)} == set(bodies)


@asynccontextmanager
async def limited(cluster: Cluster, servers: Servers, queue: str) -> AsyncIterator[None]:
    """A policy allows the queue one message, until the block ends."""
    virtual_host = urlsplit(cluster.rabbitmq_url).path[1:]
    url = f"{servers.rabbitmq_management_url}/api/policies/{virtual_host}/small"
    policy = {"pattern": queue, "definition": {"max-length": 1, "overflow": "reject-publish"}}
    async with aiohttp.ClientSession(raise_for_status=True) as client:
        await client.put(url, json=policy)
        yield
        await client.delete(url)


async def take(queue: AbstractQueue, count: int) -> list[AbstractIncomingMessage]:
    taken: list[AbstractIncomingMessage] = []

    async def are_taken() -> bool:
        if (message := await queue.get(fail=False, no_ack=True)) is not None:
            taken.append(message)
        return len(taken) == count

    await until(are_taken)
    return taken


async def test_work_that_was_begun_is_finished_though_its_connection_was_cut(
    cluster: Cluster, proxy: Proxy, wire: SteadyWire
) -> None:
    begun: list[bytes] = []
    ended: list[bytes] = []
    may_end = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        begun.append(message.body)
        await may_end.wait()
        ended.append(message.body)

    consuming = asyncio.create_task(wire.consume(DLQ_HANDLER, take))
    await cluster.publish(UNROUTED, "", b"work")
    await until(lambda: len(begun) == 1)

    proxy.cut()
    await until(lambda: len(begun) == 2)  # the broker delivers it again: the cut was noticed
    may_end.set()
    await until(lambda: len(ended) == 2)

    assert begun == ended == [b"work"] * 2
    assert not consuming.done()
    consuming.cancel()


async def test_a_consumer_goes_on_after_its_connection_was_cut(
    cluster: Cluster, proxy: Proxy, wire: SteadyWire
) -> None:
    taken: list[bytes] = []

    async def take(message: AbstractIncomingMessage) -> None:
        taken.append(message.body)
        await acknowledge(message)

    consuming = asyncio.create_task(wire.consume(DLQ_HANDLER, take))
    await cluster.publish(UNROUTED, "", b"before")
    await until(lambda: b"before" in taken)

    proxy.cut()
    await cluster.publish(UNROUTED, "", b"after")
    await until(lambda: b"after" in taken)

    assert set(taken) == {b"before", b"after"}
    assert not consuming.done()
    consuming.cancel()
