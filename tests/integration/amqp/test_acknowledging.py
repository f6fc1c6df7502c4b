"""Acknowledgements of many hands at once: each counts once, and none costs the channel."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from aiormq.connection import Connection

from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from tests.integration.amqp.test_publishing import broker, publication
from tests.support.cluster import Cluster
from tests.support.proxy import proxied
from tests.support.waiting import until

_QUEUE = "test.acknowledging"
#: So many writes wait in the client; the next one waits for its turn, and may be overtaken.
_WRITES = Connection.FRAME_BUFFER_SIZE


async def test_hands_that_acknowledge_at_once_never_answer_twice(cluster: Cluster) -> None:
    """The ack of the lowest tag waits; another hand fills the room it waits for, and goes on.

    With its next ack that hand answers for all below, the lowest included, whose own then costs the channel.
    """
    cluster.durations = replace(cluster.durations, consumer_watch_s=60.0)
    queue = await cluster.channel.declare_queue(_QUEUE)
    messages = 2 + 2 * _WRITES
    async with broker(cluster, cluster.rabbitmq_url) as opened:
        await opened.publisher.publish([publication(number, _QUEUE) for number in range(messages)])
        inlet = await opened.inlet(_QUEUE, prefetch=messages)
        lowest, next_lowest, *others = await _take(inlet, messages)
        first_to_write = [[item] for item in others[:_WRITES]]
        first_to_wait = [*others[_WRITES:], next_lowest]

        hands = [*first_to_write, first_to_wait, [lowest]]
        await asyncio.gather(*(_acknowledge(inlet, hand) for hand in hands))

        await opened.publisher.publish([publication(messages, _QUEUE)])
        (last,) = await _take(inlet, 1)
        assert last.generation == lowest.generation, "the channel was lost"
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
        taken.extend(await inlet.next_batch(count - len(taken), 0))
        return len(taken) == count

    await until(are_taken)
    return taken


async def _acknowledge(inlet: Inlet, hand: Sequence[Delivery]) -> None:
    for item in hand:
        await inlet.acknowledge([item])


async def _is_deep(cluster: Cluster, depth: int) -> bool:
    return await cluster.depth(_QUEUE) == depth
