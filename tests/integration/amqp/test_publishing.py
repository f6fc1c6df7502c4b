"""What publishing a batch promises: one true outcome for each message, whatever becomes of its neighbours."""

import asyncio
from typing import Any

import pytest

from shared.amqp.delivery import Publication
from shared.amqp.properties import DROPPED_HEADERS
from shared.errors import BrokerUnavailable, PublishFailed, PublishRefused, Unpublishable
from tests.integration.amqp.bench import Bench
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until


async def test_a_batch_arrives_in_order_with_ids_of_its_own_and_bodies_of_several_frames(
    bench: Bench,
) -> None:
    bodies = [b"", b"{}", b"x" * 131_064, b"y" * 131_065, b"z" * 700_000]
    async with bench.broker() as broker:
        batch = [bench.publication(number, body=body) for number, body in enumerate(bodies)]

        assert await broker.publisher.publish(batch) == [None] * 5

    arrived = await bench.take()

    assert [item.body for item in arrived] == bodies
    assert [item.headers["x-idempotency-key"] for item in arrived] == [f"key-{n}" for n in range(5)]
    assert len({item.message_id for item in arrived}) == 5


async def test_a_publication_carries_what_the_contract_says(bench: Bench) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = Publication(
        "", bench.queue, b"{}", "Told", "key", trace, attempt=3, headers={"own": {"n": [1, True, None]}}
    )
    async with bench.broker() as broker:
        await broker.publisher.publish([sent])

    (arrived,) = await bench.take()

    assert arrived.content_type == "application/json"
    assert arrived.delivery_mode == 2
    assert (arrived.type, arrived.app_id, arrived.correlation_id) == ("Told", "wabus", trace)
    assert arrived.message_id
    assert arrived.timestamp
    assert arrived.headers["own"] == {"n": [1, True, None]}
    assert arrived.headers["x-attempt"] == 3
    assert arrived.headers["x-idempotency-key"] == "key"
    assert trace in str(arrived.headers["traceparent"])


async def test_only_what_no_queue_takes_fails(bench: Bench) -> None:
    async with bench.broker() as broker:
        keys = [bench.queue if number % 2 else "test.nowhere" for number in range(900)]
        batch = [bench.publication(number, key) for number, key in enumerate(keys)]

        outcomes = await broker.publisher.publish(batch)

    assert [type(outcome) for outcome in outcomes] == [PublishRefused, type(None)] * 450
    assert "no queue took" in str(outcomes[0])
    assert await bench.depth() == 450


async def test_what_need_not_reach_a_queue_is_confirmed_though_none_takes_it(bench: Bench) -> None:
    async with bench.broker() as broker:
        anyone = bench.publication(1, "test.nowhere", mandatory=False)

        assert await broker.publisher.publish([anyone]) == [None]


async def test_only_what_a_full_queue_refuses_fails(bench: Bench) -> None:
    queue = await bench.declare_small(3)
    async with bench.broker() as broker:
        batch = [*bench.publications(10), bench.publication(10, "test.nowhere", mandatory=False)]
        outcomes = await broker.publisher.publish(batch)

        refused = [outcome for outcome in outcomes if outcome is not None]
        assert len(outcomes) - len(refused) == await bench.depth() + 1
        assert refused
        assert all("queue full" in str(outcome) for outcome in refused)
        await queue.purge()
        await until(lambda: bench.publishes(broker))


async def test_without_confirms_a_publish_fails_in_time_and_the_next_one_goes_through(
    bench: Bench, proxy: FrameProxy
) -> None:
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=0.5) as broker:
        await until(lambda: bench.publishes(broker))
        proxy.swallow()

        (late,) = await broker.publisher.publish([bench.publication(1)])

        assert isinstance(late, PublishFailed)
        assert broker.publisher.health.silent_since is not None
        proxy.heal()
        await until(lambda: bench.publishes(broker))

        assert broker.publisher.health.silent_since is None


async def test_a_connection_that_is_cut_under_many_publishes_leaves_none_waiting(
    bench: Bench, proxy: FrameProxy
) -> None:
    async with bench.broker(proxy.url(bench.url)) as broker:
        publishing = [
            asyncio.create_task(broker.publisher.publish(bench.publications(150))) for _ in range(20)
        ]
        await until(lambda: any(task.done() for task in publishing))

        proxy.cut()
        outcomes = [outcome for batch in await asyncio.gather(*publishing) for outcome in batch]

        assert len(outcomes) == 3000
        assert all(isinstance(outcome, BrokerUnavailable | None) for outcome in outcomes)
        assert await bench.depth() >= sum(outcome is None for outcome in outcomes)
        await until(lambda: bench.publishes(broker))


async def test_a_cancelled_publish_takes_no_neighbour_along(bench: Bench) -> None:
    async with bench.broker() as broker:
        for _ in range(20):
            doomed = asyncio.create_task(broker.publisher.publish(bench.publications(200)))
            beside = asyncio.create_task(broker.publisher.publish(bench.publications(200)))
            await asyncio.sleep(0)

            doomed.cancel()

            assert await beside == [None] * 200


@pytest.mark.parametrize("name", ["n" * 256, "ä" * 200], ids=["long", "long in bytes"])
async def test_what_no_frame_takes_keeps_nothing_else_from_being_published(bench: Bench, name: str) -> None:
    async with bench.broker() as broker:
        good, bad = bench.publication(1), bench.publication(2, name)

        outcomes = await broker.publisher.publish([good, bad, good, good])
        alone = await broker.publisher.publish([bad])

        assert [type(outcome) for outcome in outcomes] == [type(None), Unpublishable, type(None), type(None)]
        assert [type(outcome) for outcome in alone] == [Unpublishable]
        assert await bench.publishes(broker)

    assert await bench.depth() == 4


@pytest.mark.parametrize(
    "header", [10**30, "\ud800", "x" * 200_000], ids=["number", "surrogate", "larger than a frame"]
)
async def test_a_header_that_no_frame_takes_is_left_out_and_named(bench: Bench, header: Any) -> None:
    async with bench.broker() as broker:
        odd = bench.publication(2, headers={"header": header, "small": "kept"})

        assert await broker.publisher.publish([bench.publication(1), odd, bench.publication(3)]) == [None] * 3

    headers = (await bench.take())[1].headers

    assert (headers["small"], headers[DROPPED_HEADERS]) == ("kept", "header")
