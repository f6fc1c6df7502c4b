"""Acknowledgements of many hands at once: each counts once, and none costs the channel."""

import asyncio
from collections.abc import Sequence
from typing import Final

from shared.amqp.broker import Inlet
from shared.amqp.delivery import Delivery
from tests.integration.amqp.bench import Bench, bodies, take
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until

#: So many writes wait in aiormq; the next one waits for its turn, and may be overtaken.
_WRITES: Final = 10


async def test_a_multiple_ack_answers_for_nothing_that_is_still_in_hand(bench: Bench) -> None:
    async with bench.broker() as broker:
        await broker.publisher.publish(
            [bench.publication(number, body=b"%d" % number) for number in range(6)]
        )
        inlet = await broker.inlet(bench.queue, prefetch=6)
        first, second, third, fourth, fifth, sixth = await take(inlet, 6)

        await inlet.acknowledge([fifth, second])
        await inlet.acknowledge([sixth, first])
        await inlet.close()

    await until(lambda: bench.is_deep(2))

    assert sorted(item.body for item in await bench.take()) == [third.body, fourth.body]


async def test_what_is_answered_twice_is_answered_once(bench: Bench) -> None:
    await bench.send(b"a", b"b", b"c")
    async with bench.broker(consumer_watch_s=60.0) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=3)
        first, second, third = await take(inlet, 3)

        for _ in range(2):
            await inlet.acknowledge([second, first])
            await inlet.release([third, first])
        await inlet.acknowledge([third])

        (again,) = await take(inlet, 1)
        assert (again.body, again.generation) == (b"c", third.generation), "the channel was lost"
        await inlet.acknowledge([again])
        await inlet.close()
        await until(lambda: bench.is_deep(0))


async def test_hands_that_acknowledge_at_once_never_answer_twice(bench: Bench) -> None:
    """The ack of the lowest tag waits; another hand fills the room it waits for, and goes on.

    With its next ack that hand answers for all below, the lowest included, whose own then costs the channel.
    """
    messages = 2 + 2 * _WRITES
    async with bench.broker(consumer_watch_s=60.0) as broker:
        await broker.publisher.publish(bench.publications(messages))
        inlet = await broker.inlet(bench.queue, prefetch=messages)
        lowest, next_lowest, *others = await take(inlet, messages)
        first_to_write = [[item] for item in others[:_WRITES]]
        first_to_wait = [*others[_WRITES:], next_lowest]

        hands = [*first_to_write, first_to_wait, [lowest]]
        await asyncio.gather(*(_acknowledge(inlet, hand) for hand in hands))

        await broker.publisher.publish([bench.publication(messages)])
        (last,) = await take(inlet, 1)
        assert last.generation == lowest.generation, "the channel was lost"
        await inlet.acknowledge([last])
        await inlet.close()
        await until(lambda: bench.is_deep(0))


async def test_what_was_taken_on_a_channel_that_is_lost_answers_for_nothing_on_the_next_one(
    bench: Bench, proxy: FrameProxy
) -> None:
    """Tags begin anew: what was the second one is the first one now, and the second is another message."""
    async with bench.broker(proxy.url(bench.url)) as broker:
        await broker.publisher.publish(bench.publications(3))
        inlet = await broker.inlet(bench.queue, prefetch=2)
        first, second = await take(inlet, 2)
        await inlet.acknowledge([first])
        await take(inlet, 1)  # so RabbitMQ has the acknowledgement

        proxy.cut()

        again = await take(inlet, 2)
        assert [item.tag for item in again] == [first.tag, second.tag]
        assert {item.generation for item in again} == {second.generation + 1}
        await inlet.acknowledge([second])
        await inlet.release([second])
        inlet.put_back([second])
        await inlet.release(again)
        await inlet.close()

    await until(lambda: bench.is_deep(2))


async def test_answers_while_the_connection_is_gone_raise_nothing(bench: Bench, proxy: FrameProxy) -> None:
    await bench.send(b"a", b"b")
    async with bench.broker(proxy.url(bench.url)) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=2)
        first, second = await take(inlet, 2)

        proxy.refuse()
        await inlet.acknowledge([first])
        await inlet.release([second])
        await until(lambda: not broker.is_up)
        await inlet.acknowledge([first])
        await inlet.release([second])

        proxy.heal()

        assert sorted(bodies(await take(inlet, 2))) == [b"a", b"b"]


async def _acknowledge(inlet: Inlet, hand: Sequence[Delivery]) -> None:
    for item in hand:
        await inlet.acknowledge([item])
