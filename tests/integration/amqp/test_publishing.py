"""What publishing a batch promises: one true outcome for each message, whatever becomes of its neighbours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from shared.amqp.delivery import Publication
from shared.amqp.pika.broker import PikaBroker
from shared.amqp.topology import build_topology
from shared.errors import BrokerUnavailable, PublishFailed, PublishRefused
from tests.support.cluster import Cluster
from tests.support.proxy import proxied
from tests.support.waiting import until

_QUEUE = "test.publishing"


@asynccontextmanager
async def broker(cluster: Cluster, url: str, confirm_s: float = 5.0) -> AsyncIterator[PikaBroker]:
    durations = replace(cluster.durations, publish_confirm_s=confirm_s)
    opened = PikaBroker(url, "test", build_topology(durations), durations)
    async with asyncio.TaskGroup() as tasks:
        await opened.run(tasks)
        try:
            yield opened
        finally:
            for task in opened.tasks:
                task.cancel()


def publication(number: int, routing_key: str = _QUEUE, body: bytes = b"{}") -> Publication:
    return Publication("", routing_key, body, "Test", f"key-{number}", "trace", mandatory=True)


async def _declare(cluster: Cluster, **arguments: object) -> None:
    await cluster.channel.declare_queue(_QUEUE, exclusive=True, arguments=dict(arguments))  # type: ignore[arg-type]


async def test_a_batch_arrives_in_order_with_ids_of_its_own_and_bodies_of_several_frames(
    cluster: Cluster,
) -> None:
    await _declare(cluster)
    bodies = [b"", b"{}", b"x" * 131_064, b"y" * 131_065, b"z" * 700_000]
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        batch = [publication(number, body=body) for number, body in enumerate(bodies)]
        assert await opened.publisher.publish(batch) == [None] * 5
    arrived = await cluster.take(_QUEUE)
    assert [item.body for item in arrived] == bodies
    assert [item.headers["x-idempotency-key"] for item in arrived] == [f"key-{n}" for n in range(5)]
    assert len({item.message_id for item in arrived}) == 5


async def test_only_what_no_queue_takes_fails(cluster: Cluster) -> None:
    await _declare(cluster)
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        keys = [_QUEUE if number % 2 else "test.nowhere" for number in range(900)]
        batch = [publication(number, key) for number, key in enumerate(keys)]
        outcomes = await opened.publisher.publish(batch)
    assert [type(outcome) for outcome in outcomes] == [PublishRefused, type(None)] * 450
    assert "no queue took" in str(outcomes[0])
    assert await cluster.depth(_QUEUE) == 450


async def test_only_what_a_full_queue_refuses_fails(cluster: Cluster) -> None:
    await _declare(cluster, **{"x-max-length": 3, "x-overflow": "reject-publish"})
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        outcomes = await opened.publisher.publish([publication(number) for number in range(10)])
    assert sum(outcome is None for outcome in outcomes) == await cluster.depth(_QUEUE)
    refused = [outcome for outcome in outcomes if outcome is not None]
    assert refused
    assert all("queue full" in str(outcome) for outcome in refused)


async def test_without_confirms_a_publish_fails_in_time_and_the_next_one_goes_through(
    cluster: Cluster,
) -> None:
    await _declare(cluster)
    async with (
        proxied(cluster.rabbitmq_url) as proxy,
        broker(cluster, proxy.url(cluster.rabbitmq_url), confirm_s=0.5) as opened,
    ):
        await until(lambda: _publishes(opened))
        proxy.swallow()
        (late,) = await opened.publisher.publish([publication(1)])
        assert isinstance(late, PublishFailed)
        proxy.heal()
        await until(lambda: _publishes(opened))


async def test_a_connection_that_is_cut_under_many_publishes_leaves_none_waiting(cluster: Cluster) -> None:
    await _declare(cluster)
    async with (
        proxied(cluster.rabbitmq_url) as proxy,
        broker(cluster, proxy.url(cluster.rabbitmq_url)) as opened,
    ):
        publishing = [
            asyncio.create_task(opened.publisher.publish([publication(n) for n in range(150)]))
            for _ in range(20)
        ]
        await until(lambda: any(task.done() for task in publishing))
        proxy.cut()
        outcomes = [outcome for batch in await asyncio.gather(*publishing) for outcome in batch]
        assert len(outcomes) == 3000
        assert all(isinstance(outcome, BrokerUnavailable | None) for outcome in outcomes)
        assert await cluster.depth(_QUEUE) >= sum(outcome is None for outcome in outcomes)
        await until(lambda: _publishes(opened))


async def test_a_cancelled_publish_takes_no_neighbour_along(cluster: Cluster) -> None:
    await _declare(cluster)
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        for _ in range(20):
            doomed = asyncio.create_task(opened.publisher.publish([publication(n) for n in range(200)]))
            beside = asyncio.create_task(opened.publisher.publish([publication(n) for n in range(200)]))
            await asyncio.sleep(0)
            doomed.cancel()
            assert await beside == [None] * 200


async def _publishes(opened: PikaBroker) -> bool:
    return await opened.publisher.publish([publication(99)]) == [None]
