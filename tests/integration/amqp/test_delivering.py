"""What an inlet promises: whole deliveries in order, in batches, no more in hand than allowed, none lost."""

import asyncio
import base64
from datetime import UTC, datetime
from typing import Any, Final

from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.amqp.broker import Inlet
from shared.amqp.decoding import UNREADABLE
from tests.integration.amqp.bench import Bench, bodies, take
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until

ABC: Final = (b"a", b"b", b"c")


async def test_a_delivery_says_all_that_was_published(bench: Bench) -> None:
    at = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
    headers: dict[str, Any] = {
        "text": "ü",
        "number": -(2**40),
        "truth": True,
        "nothing": None,
        "list": [1, "two", [3.5]],
        "table": {"inner": {"deep": "x"}},
        "x-attempt": 3,
        "x-wabus-exchange": "wa.inbound",
        "x-wabus-routing-key": "4917",
    }
    await bench.send(b"\x00\xff{}", headers=headers, message_id="m-1", correlation_id="trace", timestamp=at)

    async with bench.broker() as broker:
        (delivery,) = await take(await broker.inlet(bench.queue, prefetch=10), 1)

    assert (delivery.queue, delivery.exchange, delivery.routing_key) == (bench.queue, "", bench.queue)
    assert delivery.body == b"\x00\xff{}"
    assert delivery.headers.items() >= headers.items()
    assert (delivery.message_id, delivery.correlation_id) == ("m-1", "trace")
    assert delivery.published_at == at.timestamp()
    assert (delivery.redelivered, delivery.deliveries_before, delivery.attempt) == (False, 0, 3)
    assert (delivery.origin_exchange, delivery.origin_routing_key) == ("wa.inbound", "4917")


async def test_what_says_nothing_of_itself_is_delivered_all_the_same(bench: Bench) -> None:
    await bench.send(b"")

    async with bench.broker() as broker:
        (delivery,) = await take(await broker.inlet(bench.queue, prefetch=10), 1)

    assert delivery.body == b""
    assert (delivery.correlation_id, delivery.published_at, delivery.attempt) == (None, None, 1)


async def test_headers_that_nobody_can_read_cost_no_message_and_go_with_each_copy_of_it(
    bench: Bench, proxy: FrameProxy
) -> None:
    """A later RabbitMQ may know kinds of values that we do not; `Z` is of none."""
    # Given a server that says something of that kind
    proxy.hold(Basic.Deliver, ContentHeader, ContentBody)
    async with bench.broker(proxy.url(bench.url), consumer_watch_s=60.0) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        await bench.send(b"ab", headers={"x": "y"}, message_id="m-1")
        await until(lambda: len(proxy.held) == 3)
        raw = b"".join(marshal(item.frame, item.channel) for item in proxy.held)
        odd = raw.replace(b"\x01xS\x00\x00\x00\x01y", b"\x01xZ\x00\x00\x00\x01y")
        proxy.hold()
        # When
        proxy.held[0].client.write(odd)
        await bench.send(b"next")
        unread, after = await take(inlet, 2)
        copy = bench.publication(1, headers=unread.headers)
        assert await broker.publisher.publish([copy]) == [None]
        (copied,) = await take(inlet, 1)
        await inlet.acknowledge([unread, after, copied])
    # Then
    kept = base64.b64encode(b"\x01xZ\x00\x00\x00\x01y").decode()
    assert odd != raw
    assert (unread.body, unread.message_id, unread.headers) == (b"ab", "m-1", {UNREADABLE: kept})
    assert (after.body, after.generation) == (b"next", unread.generation), "the connection was lost"
    assert copied.headers[UNREADABLE] == kept
    await until(lambda: bench.is_deep(0))


async def test_bodies_of_several_frames_are_whole_and_in_order(bench: Bench) -> None:
    sent = [b"x" * size for size in (1, 131_064, 131_065, 700_000, 2)]
    await bench.send(*sent)

    async with bench.broker() as broker:
        taken = await take(await broker.inlet(bench.queue, prefetch=10), 5)

    assert bodies(taken) == sent


async def test_a_batch_is_no_larger_than_asked_for_and_the_next_one_goes_on(bench: Bench) -> None:
    await bench.send(*(b"%d" % number for number in range(7)))
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=7)

        first, second = await inlet.full_batch(4, asyncio.Event()), await take(inlet, 3)

        assert bodies(first) == [b"0", b"1", b"2", b"3"]
        assert bodies(second) == [b"4", b"5", b"6"]
        assert await inlet.next_batch(1, 0) == [], "an idle inlet says so after a while"


async def test_enough_ends_the_waiting_for_a_full_batch(bench: Bench) -> None:
    await bench.send(b"a")
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        (first,) = await take(inlet, 1)
        inlet.put_back([first])
        enough = asyncio.Event()
        waiting = asyncio.create_task(inlet.full_batch(2, enough))

        enough.set()

        assert bodies(await waiting) == [b"a"]


async def test_whoever_gives_up_waiting_has_taken_nothing(bench: Bench) -> None:
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=20)
        for _ in range(20):
            waiting = asyncio.create_task(inlet.next_batch(100, 60.0))
            await bench.send(b"x")
            waiting.cancel()
            await asyncio.wait([waiting])

        assert len(await take(inlet, 20)) == 20


async def test_no_more_are_in_hand_than_are_allowed(bench: Bench) -> None:
    await bench.send(*(b"%d" % number for number in range(6)))
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=4)
        taken = await take(inlet, 4)
        assert await bench.depth() == 2

        await inlet.acknowledge(taken[:1])

        assert bodies(await take(inlet, 1)) == [b"4"]
        assert await bench.depth() == 1


async def test_what_is_put_back_comes_again_in_its_place(bench: Bench) -> None:
    await bench.send(*ABC)
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=3)
        first, second, third = await take(inlet, 3)

        inlet.put_back([second])
        inlet.put_back([third, first])

        again = await take(inlet, 3)

        assert bodies(again) == list(ABC)
        assert not any(item.redelivered for item in again)


async def test_all_that_has_arrived_can_be_taken_at_once(bench: Bench) -> None:
    await bench.send(*ABC)
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=3)
        inlet.put_back(await take(inlet, 3))

        assert bodies(inlet.empty()) == list(ABC)
        assert inlet.empty() == []


async def test_what_is_given_back_comes_again_and_says_so(bench: Bench) -> None:
    await bench.send(*ABC)
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=3)
        first, second, third = await take(inlet, 3)
        await inlet.acknowledge([second])

        await inlet.release([third, first])

        again = await take(inlet, 2)

        assert sorted(bodies(again)) == [b"a", b"c"]
        assert [(item.redelivered, item.deliveries_before) for item in again] == [(True, 1)] * 2


async def test_what_nobody_acknowledged_is_given_to_others(bench: Bench) -> None:
    await bench.send(*ABC)
    async with bench.broker() as broker:
        await take(await broker.inlet(bench.queue, prefetch=3), 3)

    async with bench.broker() as broker:
        again = await take(await broker.inlet(bench.queue, prefetch=3), 3)

    assert sorted(bodies(again)) == list(ABC)
    assert all(item.redelivered for item in again)


async def test_a_paused_inlet_consumes_nothing_and_keeps_what_is_in_hand(
    bench: Bench, proxy: FrameProxy
) -> None:
    await bench.send(*ABC)
    async with bench.broker(proxy.url(bench.url)) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        first, *others = await take(inlet, 3)

        inlet.pause()
        inlet.pause()

        await until(lambda: proxy.count(Basic.CancelOk) == 1)
        assert not broker.lacks_consumer
        await bench.send(b"later")
        await inlet.acknowledge([first])
        assert await bench.depth() == 1

        inlet.resume()

        assert bodies(await take(inlet, 1)) == [b"later"]
        await inlet.acknowledge(others)
    await until(lambda: bench.is_deep(1))


async def test_a_paused_inlet_is_quiet_once_the_broker_has_said_so(bench: Bench, proxy: FrameProxy) -> None:
    """Before, what it gives back may be delivered to it again."""
    await bench.send(*ABC)
    async with bench.broker(proxy.url(bench.url)) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        taken = await take(inlet, 3)
        assert not inlet.is_quiet

        proxy.hold(Basic.CancelOk)
        inlet.pause()

        await until(lambda: bool(proxy.held))
        assert not inlet.is_quiet
        proxy.answer(proxy.held[0].frame)
        await until(lambda: inlet.is_quiet)
        await inlet.release(taken)
        assert await inlet.next_batch(10, 0) == []
        inlet.resume()

        assert not inlet.is_quiet


async def test_an_inlet_may_go_on_with_fewer_in_hand(bench: Bench) -> None:
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        inlet.pause()
        await until(lambda: bench.is_consumed(by=0))
        await bench.send(*ABC)

        inlet.resume(1)

        (first,) = await take(inlet, 1)
        assert await bench.depth() == 2
        inlet.resume()
        await take(inlet, 2)
        await inlet.acknowledge([first])


async def test_a_closed_inlet_gives_back_what_was_not_taken_and_answers_for_the_rest(bench: Bench) -> None:
    await bench.send(*ABC)
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=3)
        first, second, third = await take(inlet, 3)
        inlet.put_back([third])

        await inlet.close()
        await inlet.close()

        await until(lambda: bench.is_deep(1))
        assert await _is_over(inlet)
        await inlet.acknowledge([first])
        await inlet.release([second])
        await until(lambda: bench.is_deep(2))
        inlet.resume()
        assert not broker.lacks_consumer

    assert sorted(item.body for item in await bench.take()) == [b"b", b"c"]


async def _is_over(inlet: Inlet) -> bool:
    return not await inlet.next_batch(10, 60.0) and not await inlet.full_batch(10, asyncio.Event())
