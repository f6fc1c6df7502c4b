"""A broker that is kept connected: through cuts, alarms, lost consumers, and servers that lost everything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from pamqp.commands import Basic, Connection

from shared.amqp.broker import Broker, QueueState
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from shared.errors import BrokerUnavailable, ConsumerLost, TopologyMissing
from tests.integration.amqp.bench import IMPLEMENTATIONS, Bench, Build, bodies, take
from tests.support.brokers import running
from tests.support.cluster import drop_virtual_host, make_virtual_host, new_virtual_host
from tests.support.frame_proxy import FrameProxy
from tests.support.paces import FAST
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.fixture(params=IMPLEMENTATIONS)
def build(request: pytest.FixtureRequest) -> Build:
    """Without a queue: for a server of the test's own."""
    return IMPLEMENTATIONS[request.param]


async def test_a_cut_connection_loses_no_delivery(bench: Bench, proxy: FrameProxy) -> None:
    seen: set[bytes] = set()
    async with bench.broker(proxy.url(bench.url)) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=20)
        for start in range(0, 100, 20):
            await bench.send(*(b"%d" % number for number in range(start, start + 20)))
            seen.update(bodies(await take(inlet, 10)))

            proxy.cut()

        async with asyncio.timeout(60):  # what was lost would never come
            while len(seen) < 100:
                batch = await inlet.next_batch(20, 0.05)
                seen.update(bodies(batch))
                await inlet.acknowledge(batch)

    await until(lambda: bench.is_deep(0))
    assert seen == {b"%d" % number for number in range(100)}


async def test_ended_tasks_leave_no_consumer_and_give_all_back(bench: Bench) -> None:
    await bench.send(b"a")
    async with bench.broker() as broker:
        await take(await broker.inlet(bench.queue, prefetch=1), 1)
        assert await bench.consumers() == 1

    await until(lambda: bench.is_consumed(by=0))
    await until(lambda: bench.is_deep(1))


async def test_while_the_broker_is_away_it_says_so_and_nothing_waits_for_it(
    bench: Bench, proxy: FrameProxy
) -> None:
    async with bench.broker(proxy.url(bench.url), publish_confirm_s=0.5) as broker:
        assert broker.is_up
        await broker.publisher.check()

        proxy.refuse()

        await until(lambda: not broker.is_up)
        (outcome,) = await broker.publisher.publish([bench.publication(1)])
        assert isinstance(outcome, BrokerUnavailable)
        assert await broker.queue_state(bench.queue) is None
        with pytest.raises(BrokerUnavailable):
            await broker.publisher.check()

        proxy.heal()
        await until(lambda: broker.is_up)
        await until(lambda: bench.publishes(broker))
        await broker.publisher.check()


async def test_a_server_that_fell_silent_is_given_up(bench: Bench, proxy: FrameProxy) -> None:
    async with bench.broker(f"{proxy.url(bench.url)}?heartbeat=1") as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        await until(bench.is_consumed)

        proxy.forget()

        await bench.send(b"a")
        assert bodies(await take(inlet, 1)) == [b"a"]
        await until(lambda: bench.publishes(broker))


async def test_what_an_alarm_holds_is_told_and_not_waited_for(bench: Bench, proxy: FrameProxy) -> None:
    async with bench.broker(proxy.url(bench.url)) as broker:
        assert await bench.publishes(broker)

        proxy.tell_all(Connection.Blocked("low on disk"))

        await until(lambda: _is_held(bench, broker))
        with pytest.raises(BrokerUnavailable):
            await broker.publisher.check()
        depth = await bench.depth()
        await broker.publisher.publish([bench.publication(1)])
        assert await bench.depth() == depth, "what is told as failed went out"

        proxy.tell_all(Connection.Unblocked())
        await until(lambda: bench.publishes(broker))
        await broker.publisher.check()


async def _is_held(bench: Bench, broker: Broker) -> bool:
    (outcome,) = await broker.publisher.publish([bench.publication(1)])
    return isinstance(outcome, BrokerUnavailable)


async def test_a_consumer_that_the_broker_cancels_is_restored(bench: Bench) -> None:
    async with bench.broker() as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        await until(bench.is_consumed)

        await bench.channel.queue_delete(bench.queue)

        await until(lambda: broker.lacks_consumer)
        await bench.declare()
        await bench.send(b"a")
        assert bodies(await take(inlet, 1)) == [b"a"]
        await until(lambda: not broker.lacks_consumer)


async def test_a_consumer_that_hears_nothing_from_a_queue_that_has_something_is_made_anew(
    bench: Bench, proxy: FrameProxy
) -> None:
    """The server's word that it was cancelled never came."""
    async with bench.broker(proxy.url(bench.url)) as broker:
        inlet = await broker.inlet(bench.queue, prefetch=10)
        await until(bench.is_consumed)
        proxy.hold(Basic.Cancel)

        await bench.channel.queue_delete(bench.queue)
        await until(lambda: bool(proxy.held))
        await bench.declare()
        await bench.send(b"a")

        assert bodies(await take(inlet, 1)) == [b"a"]


async def test_a_consumer_that_cannot_be_restored_ends_all(bench: Bench) -> None:
    async def consume_what_is_deleted() -> None:
        async with bench.broker(consumer_restore_s=0.2) as broker:
            await broker.inlet(bench.queue, prefetch=10)
            await until(bench.is_consumed)
            await bench.channel.queue_delete(bench.queue)
            await until(lambda: False)

    with pytest.raises(ExceptionGroup) as ended:
        await consume_what_is_deleted()

    assert ended.group_contains(ConsumerLost, match=bench.queue)


async def test_depth_and_consumers_are_told(bench: Bench) -> None:
    await bench.send(b"a", b"b")
    async with bench.broker() as broker:
        assert await broker.queue_state(bench.queue) == QueueState(2, 0)
        assert await broker.queue_state("no.such.queue") is None

        await take(await broker.inlet(bench.queue, prefetch=1), 1)

        assert await broker.queue_state(bench.queue) == QueueState(1, 1)


async def test_an_unprepared_server_is_refused(servers: Servers, build: Build) -> None:
    with new_virtual_host(servers) as url, pytest.raises(ExceptionGroup) as ended:
        async with _connected(build, url):
            pass
    assert ended.group_contains(TopologyMissing, match="wabus topology declare")


async def test_a_server_that_lost_its_topology_is_given_it_again(servers: Servers, build: Build) -> None:
    topology = build_topology(FAST)
    with new_virtual_host(servers) as url:
        async with open_session(url) as session:
            await session.declare(topology)
        async with _connected(build, url) as broker:
            name = urlsplit(url).path.removeprefix("/")

            drop_virtual_host(servers, name)
            await until(lambda: not broker.is_up)
            make_virtual_host(servers, name)

            await until(lambda: broker.is_up)
            async with open_session(url) as session:
                assert (await session.compare(topology)).missing == []


@asynccontextmanager
async def _connected(build: Build, url: str) -> AsyncIterator[Broker]:
    broker = build(url, "test", build_topology(FAST), replace(FAST))
    async with running(broker):
        yield broker
