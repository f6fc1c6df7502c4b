"""Acknowledgements of many hands at once: each counts once, and none costs the channel."""

import asyncio
import random
from dataclasses import replace

from shared.amqp.delivery import Delivery, Inlet
from tests.integration.test_publishing import broker, publication
from tests.support.cluster import Cluster
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
        async with asyncio.timeout(60):
            while not (left := await inlet.next_batch(1, 0)):
                pass
        (last,) = left
        assert last.generation == taken[0].generation, "the channel was lost"
        await inlet.acknowledge([last])
        await inlet.close()
        await until(lambda: _is_empty(cluster))
    await queue.delete(if_unused=False, if_empty=False)


async def _acknowledge(inlet: Inlet, hand: list[Delivery]) -> None:
    for item in hand[:3]:
        await inlet.acknowledge([item])
    await inlet.acknowledge(hand[3:])


async def _is_empty(cluster: Cluster) -> bool:
    return await cluster.depth(_QUEUE) == 0
