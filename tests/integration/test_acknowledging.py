"""Acknowledgements of many hands at once: each counts once, and none costs the channel."""

import asyncio
import random
from dataclasses import replace

from shared.amqp.delivery import Delivery, Inlet
from tests.integration.test_publishing import broker, publication
from tests.support.cluster import Cluster
from tests.support.proxy import proxied
from tests.support.waiting import until

_QUEUE = "test.acknowledging"
_MESSAGES = 3000


async def test_hands_that_acknowledge_at_once_never_answer_twice(cluster: Cluster) -> None:
    """More acks at once than the client's write queue holds, so that they wait for one another."""
    cluster.durations = replace(cluster.durations, consumer_watch_s=60.0)
    queue = await cluster.channel.declare_queue(_QUEUE)
    shuffled = random.Random(7)
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        await opened.publisher.publish([publication(number, _QUEUE) for number in range(_MESSAGES)])
        inlet = await opened.inlet(_QUEUE, prefetch=_MESSAGES)
        taken: list[Delivery] = []
        while len(taken) < _MESSAGES:
            taken += await inlet.next_batch(500, 0.05)
        shuffled.shuffle(taken)
        hands = [taken[start : start + 7] for start in range(0, _MESSAGES, 7)]
        await asyncio.gather(*(_acknowledge(inlet, hand) for hand in hands))
        await opened.publisher.publish([publication(_MESSAGES, _QUEUE)])
        (last,) = await _take(inlet, 1)
        assert last.generation == taken[0].generation, "the channel was lost"
        await inlet.acknowledge([last])
        await inlet.close()
        await until(lambda: _is_deep(cluster, 0))
    await queue.delete(if_unused=False, if_empty=False)


async def test_what_was_taken_on_a_channel_that_is_lost_answers_for_nothing_on_the_next_one(
    cluster: Cluster,
) -> None:
    """Tags begin anew: what was the second one is the first one now, and the second is another message."""
    queue = await cluster.channel.declare_queue(_QUEUE)
    async with (
        proxied(cluster.rabbitmq_url) as proxy,
        broker(cluster, proxy.url(cluster.rabbitmq_url)) as opened,
    ):
        await opened.publisher.publish([publication(number, _QUEUE) for number in range(3)])
        inlet = await opened.inlet(_QUEUE, prefetch=2)
        first, second = await _take(inlet, 2)
        await inlet.acknowledge([first])
        await _take(inlet, 1)  # so RabbitMQ has the acknowledgement
        proxy.cut()
        again = await _take(inlet, 2)
        assert [item.tag for item in again] == [first.tag, second.tag]
        assert {item.generation for item in again} == {second.generation + 1}

        await inlet.acknowledge([second])
        await inlet.release([second])
        await inlet.release(again)
        await inlet.close()

    await until(lambda: _is_deep(cluster, 2))
    await queue.delete(if_unused=False, if_empty=False)


async def _take(inlet: Inlet, count: int) -> list[Delivery]:
    taken: list[Delivery] = []

    async def are_taken() -> bool:
        taken.extend(await inlet.next_batch(count, 0))
        return len(taken) == count

    await until(are_taken)
    return taken


async def _acknowledge(inlet: Inlet, hand: list[Delivery]) -> None:
    for item in hand[:3]:
        await inlet.acknowledge([item])
    await inlet.acknowledge(hand[3:])


async def _is_deep(cluster: Cluster, depth: int) -> bool:
    return await cluster.depth(_QUEUE) == depth
