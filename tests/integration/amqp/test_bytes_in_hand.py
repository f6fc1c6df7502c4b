"""What a consumer has in hand is bounded by its bytes, whatever its prefetch, and all of it is delivered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import pytest
from pamqp.commands import Basic

from shared.amqp.in_hand import weigh
from tests.integration.amqp.bench import Bench, take
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until

MIB: Final = 1024 * 1024


@pytest.mark.parametrize("flood", ["bodies", "headers"])
async def test_no_more_bytes_are_in_hand_than_are_allowed(bench: Bench, flood: str) -> None:
    body = b"x" * 100_000 if flood == "bodies" else b"{}"
    headers: dict[str, Any] = {} if flood == "bodies" else {f"header-{n:04}": None for n in range(2000)}
    await bench.send(*[body] * 60, headers=headers)
    async with bench.broker(inflight_bytes=MIB) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=1000)
        seen = 0
        while seen < 60:
            batch = await inlet.next_batch(1000, 0.05)
            assert sum(map(weigh, batch)) <= MIB
            assert len(batch) <= 12
            seen += len(batch)
            await inlet.acknowledge(batch)
    await until(lambda: bench.is_deep(0))


async def test_one_that_is_larger_than_all_that_is_allowed_passes_alone(bench: Bench) -> None:
    large = b"x" * (2 * MIB)
    await bench.send(b"before", large, b"after")
    async with bench.broker(inflight_bytes=MIB) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        seen: list[bytes] = []
        while len(seen) < 3:
            batch = await inlet.next_batch(10, 0.05)
            assert len(batch) == 1 or large not in [item.body for item in batch]
            seen += [item.body for item in batch]
            await inlet.acknowledge(batch)

    assert sorted(seen) == sorted([b"before", large, b"after"])


async def test_consuming_pauses_while_too_much_is_in_hand_and_a_refused_one_is_not_answered(
    bench: Bench, proxy: FrameProxy
) -> None:
    """Its tag lies between others', for which a multiple ack must not answer."""
    await bench.send(b"a" * 600_000, b"b" * 600_000, b"c" * 10)
    async with bench.broker(proxy.url(bench.url), inflight_bytes=MIB) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        taken = await take(inlet, 2)
        assert [item.body[:1] for item in taken] == [b"a", b"c"]
        await until(lambda: proxy.count(Basic.CancelOk) == 1)
        assert not broker.lacks_consumer

        await inlet.acknowledge(taken)

        (refused,) = await take(inlet, 1)

        assert (refused.body[:1], len(refused.body)) == (b"b", 600_000)


async def test_the_queues_of_one_process_have_the_bytes_between_them(bench: Bench, proxy: FrameProxy) -> None:
    async with (
        three_queues(bench) as queues,
        bench.broker(proxy.url(bench.url), inflight_bytes=3 * MIB) as broker,
    ):
        inlets = [await broker.inlet(queue.queue, 200, len(queues)) for queue in queues]

        await until(lambda: proxy.count(Basic.CancelOk) == len(queues))

        in_hand = [item for inlet in inlets for item in inlet.empty()]

        assert 2 * MIB < sum(map(weigh, in_hand)) <= 3 * MIB
        assert {item.queue for item in in_hand} == {queue.queue for queue in queues}


@asynccontextmanager
async def three_queues(bench: Bench) -> AsyncIterator[list[Bench]]:
    """Each with more in it than a consumer of a third may have."""
    queues = [Bench(bench.build, bench.url, bench.channel, f"test.{uuid4().hex[:8]}") for _ in range(3)]
    for queue in queues:
        await queue.declare()
        await queue.send(*[b"x" * 150_000] * 30)
    yield queues
    for queue in queues:
        await bench.channel.queue_delete(queue.queue)
