"""What RabbitMQ says as it closes a channel or a connection reaches whoever waits, and all goes on anew."""

import asyncio
from dataclasses import replace

import pytest
from pamqp.commands import Basic, Channel, Connection
from pamqp.heartbeat import Heartbeat

from shared.amqp.client import AmqpClient
from shared.errors import BrokerUnavailable
from shared.tasks import end_tasks
from tests.integration.amqp.bench import Bench, bodies, take
from tests.support.frame_proxy import FrameProxy
from tests.support.waiting import until

only_frames = pytest.mark.parametrize("bench", [AmqpClient.FRAMES], indirect=True)


async def test_a_publication_that_costs_the_channel_fails_with_the_reason_and_the_next_one_goes_through(
    bench: Bench,
) -> None:
    async with bench.broker() as broker:
        to_nowhere = replace(bench.publication(1), exchange="test.gone")

        outcomes = await broker.publisher.publish([bench.publication(0), to_nowhere, bench.publication(2)])

        assert isinstance(outcomes[1], BrokerUnavailable)
        assert "no exchange 'test.gone'" in str(outcomes[1])
        assert await broker.publisher.publish(bench.publications(2)) == [None, None]


async def test_what_is_out_when_the_server_closes_the_connection_fails_with_its_reason(
    bench: Bench, proxy: FrameProxy
) -> None:
    proxy.hold(Basic.Ack)
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=30.0) as broker:
        publishing = asyncio.create_task(broker.publisher.publish(bench.publications(3)))
        await until(lambda: proxy.confirmed == {1, 2, 3})
        proxy.hold()

        proxy.tell_all(Connection.Close(320, "CONNECTION_FORCED - by an operator", 0, 0))

        outcomes = await publishing
        assert [type(outcome) for outcome in outcomes] == [BrokerUnavailable] * 3
        assert "by an operator" in str(outcomes[0])
        await until(lambda: bench.publishes(broker))


async def test_what_is_out_when_the_broker_ends_fails_and_waits_for_nothing(
    bench: Bench, proxy: FrameProxy
) -> None:
    proxy.hold(Basic.Ack)
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=600.0) as broker:
        publishing = asyncio.create_task(broker.publisher.publish(bench.publications(3)))
        await until(lambda: proxy.confirmed == {1, 2, 3})

        await end_tasks(broker.tasks)

        assert [type(outcome) for outcome in await publishing] == [BrokerUnavailable] * 3


async def test_a_consumer_that_is_cancelled_before_its_tag_is_told_is_made_anew(
    bench: Bench, proxy: FrameProxy
) -> None:
    proxy.hold(Basic.ConsumeOk, Basic.Cancel)
    async with bench.broker(proxy.url(bench.url), consumer_watch_s=60.0) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        await until(lambda: bool(proxy.held))
        await bench.channel.queue_delete(bench.queue)
        await until(lambda: len(proxy.held) == 2)
        await bench.declare()
        proxy.hold()

        proxy.answer(*(item.frame for item in proxy.held))

        await until(lambda: proxy.count(Basic.ConsumeOk) == 1)
        await bench.send(b"a")
        assert bodies(await take(inlet, 1)) == [b"a"]
        assert not broker.lacks_consumer


@only_frames
async def test_a_flow_that_is_stopped_is_told_and_not_waited_for(bench: Bench, proxy: FrameProxy) -> None:
    """By a proxy: RabbitMQ itself says it no more, and takes our word on it for an error."""
    proxy.hold(Basic.Ack)
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=30.0) as broker:
        # Given a publication that is out, by whose channel the server speaks
        publishing = asyncio.create_task(broker.publisher.publish([bench.publication(0)]))
        await until(lambda: proxy.confirmed == {1})
        # When the server stops the flow, and then confirms what is out
        proxy.keep_from_server(Channel.FlowOk)
        proxy.answer(Channel.Flow(False), proxy.held[0].frame)
        assert await publishing == [None]
        # Then nothing more is written until it lets it flow again
        (outcome,) = await broker.publisher.publish([bench.publication(1)])
        assert isinstance(outcome, BrokerUnavailable)
        assert "stopped the channel's flow" in str(outcome)
        assert await bench.depth() == 1, "what is told as failed went out"
        proxy.hold()
        proxy.answer(Channel.Flow(True))
        await until(lambda: bench.publishes(broker))


@only_frames
async def test_what_is_no_frame_costs_the_connection_and_no_message(
    bench: Bench, proxy: FrameProxy, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.send(b"a")
    async with bench.broker(proxy.url(bench.url)) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        (first,) = await take(inlet, 1)

        proxy.say_to_all(b"\x00" * 8)

        (again,) = await take(inlet, 1)
        await until(lambda: bench.publishes(broker))
        await inlet.acknowledge([first, again])

    assert (again.body, again.redelivered) == (b"a", True)
    assert "no frame of AMQP 0-9-1" in caplog.text


@only_frames
async def test_an_idle_connection_is_kept_by_its_own_beats(
    bench: Bench, proxy: FrameProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """RabbitMQ closes one that it has not heard for two seconds; it beats twice a second on each of two."""
    async with bench.broker(f"{proxy.url(bench.url)}?heartbeat=1"):
        await until(lambda: proxy.count(Heartbeat) >= 16)

        assert len(proxy.recorded) == 3, "the topology's, and these two"
    assert "was lost" not in caplog.text
