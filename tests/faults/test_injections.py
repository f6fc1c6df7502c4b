"""Each fault of servers, networks and the Cloud API by itself: it bites, nothing is lost, nothing twice."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import pytest

from deploy import stack
from deploy.demo.processes import Fleet
from deploy.stack import Kind, Source
from schema.migrator import migrate
from shared.amqp.broker import QueueState
from shared.amqp.client import build_broker
from shared.amqp.topology import (
    DLQ_HANDLER,
    ENRICHED,
    INBOUND_RESOLVER,
    OUTBOUND_REPLY,
    STATUS_UPDATER,
    WORK_QUEUES,
    Topology,
)
from shared.durations import DURATIONS
from shared.errors import StackError
from shared.tasks import end_tasks
from tests.faults.fault import Fault
from tests.faults.injections import cloud_api, network, numbers, postgres, rabbitmq, redis
from tests.faults.injections.locked_row import LockedRow
from tests.faults.place import Place
from tests.faults.small_cluster import NUMBER, SmallCluster, prepare
from tests.support.brokers import CLIENT
from tests.support.databases import new_database
from tests.support.servers import (
    Servers,
    keep_postgres_in_memory,
    keep_rabbitmq_in_memory,
    quiet_machine,
    servers_of,
    stack_root,
)
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Ground:
    """A stack that may be broken: nobody else's tests run on it."""

    servers: Servers
    root: Path


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with stack_root() as root:
        keep_rabbitmq_in_memory(root)
        state = stack.up(root, {}, lambda _: None, quiet_machine({}))
        if any(server.source is not Source.NATIVE for server in state.servers.values()):
            pytest.skip("not run: servers in Docker cannot be ended one by one")
        keep_postgres_in_memory(root, state.servers[Kind.POSTGRES])
        yield Ground(servers_of(state.urls()), root)


@pytest.fixture(scope="module")
def template(ground: Ground) -> Iterator[str]:
    with new_database(ground.servers.database_url) as url:
        asyncio.run(migrate(url))
        yield urlsplit(url).path[1:]


@pytest.fixture
def database(ground: Ground, template: str) -> Iterator[str]:
    with new_database(ground.servers.database_url, template=template) as url:
        yield url


@pytest.fixture
async def scene(
    ground: Ground, database: str, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[SmallCluster]:
    servers = replace(ground.servers, database_url=database)
    async with SmallCluster.running(servers, ground.root, caplog) as running:
        yield running


async def test_a_queue_that_does_not_answer_rabbitmq_is_not_taken_for_an_empty_one(ground: Ground) -> None:
    name, url = "slow", ground.servers.rabbitmq_url

    async def tell(expression: str) -> None:
        call = f"{expression}('%2F_{name}')."
        await asyncio.to_thread(stack.evaluate_in_rabbitmq, ground.root, call)

    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), routing_key=name)
        broker = build_broker(url, "test", Topology(()), DURATIONS, client=CLIENT)
        async with asyncio.TaskGroup() as tasks:
            await broker.run(tasks)
            assert await broker.queue_state(name) == QueueState(1, 0)
            await tell("sys:suspend")
            assert await broker.queue_state(name) is None
            await tell("sys:resume")
            assert await broker.queue_state(name) == QueueState(1, 0)
            await end_tasks(broker.tasks)
        await queue.delete(if_unused=False, if_empty=False)


def test_what_rabbitmq_cannot_evaluate_is_an_error(ground: Ground) -> None:
    with pytest.raises(StackError, match="undef"):
        stack.evaluate_in_rabbitmq(ground.root, "nobody:knows().")


BLOCKED = "resolved messages wait to be published"


async def test_while_rabbitmq_blocks_publishers_what_is_told_waits(scene: SmallCluster) -> None:
    """Once it is known nobody waits for a confirm: a sender goes on, and tells of it later."""
    for fault in (rabbitmq.Alarm("memory"), rabbitmq.Alarm("disk")):
        scene.place.proxies["postgres"].refuse()
        scene.offer(20)
        await scene.until_offered()
        async with scene.under(fault):
            scene.place.proxies["postgres"].heal()
            await scene.until_said("publishing to RabbitMQ is away")

    assert await scene.breaches() == []
    assert scene.times_told <= 3  # once, and once more after each alarm where a confirm came too late


async def test_full_queues_are_waited_for(scene: SmallCluster) -> None:
    """RabbitMQ 3.10 refuses a channel for ever that was refused once, though the limit is gone."""
    async with scene.under(rabbitmq.FullQueue(r"^inbound\.enriched$")):
        scene.offer(20)
        await scene.until_said(BLOCKED)
    await scene.until_done()
    async with scene.under(rabbitmq.FullQueue(r"\.retry\.|^dlq-handler$")):
        scene.offer_refused(10)
        scene.offer(10)
        await scene.until_said("copies for retry tiers or dead letters wait")

    assert await scene.breaches() == []
    assert scene.times_told == 1


async def test_every_queue_in_turn_refuses_and_takes_again(ground: Ground) -> None:
    """Asked each time on a channel of its own: RabbitMQ 3.10 refuses one for ever that was refused once."""
    url = ground.servers.rabbitmq_url
    queues = {ENRICHED, *WORK_QUEUES, DLQ_HANDLER}
    full = [fault for kind in rabbitmq.KINDS if isinstance(fault := kind.make(Random(0)), rabbitmq.FullQueue)]
    await prepare(url)

    async with aiohttp.ClientSession() as client:
        place = Place(ground.servers, ground.root, {}, "", Fleet({}, client, lambda _: None))
        for fault in full:
            struck = {queue for queue in queues if re.search(fault.pattern, queue)}
            await fault.strike(place)
            try:
                assert {queue for queue in queues if await refuses(url, queue)} == struck
            finally:
                await fault.heal(place)
            assert {queue for queue in queues if await refuses(url, queue)} == set()
            queues -= struck

    assert queues == set()


async def refuses(url: str, queue: str) -> bool:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        try:
            await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue)
        except aio_pika.exceptions.DeliveryError:
            return True
    return False


async def has_accepted(scene: SmallCluster, count: int) -> bool:
    return (await scene.accepted()).total() >= count


@pytest.mark.parametrize("queue", [INBOUND_RESOLVER, OUTBOUND_REPLY, STATUS_UPDATER])
async def test_who_publishes_to_a_full_queue_of_work_waits_and_loses_nothing(
    scene: SmallCluster, queue: str
) -> None:
    async with scene.under(rabbitmq.FullQueue(f"^{queue}$", stays_limited=True)):
        scene.offer(10)
        assert await refuses(scene.place.servers.rabbitmq_url, queue)
        if queue == STATUS_UPDATER:
            await until(lambda: has_accepted(scene, 10))

    assert await scene.breaches() == []


async def test_a_burst_of_one_number_is_there_at_once(scene: SmallCluster) -> None:
    burst = numbers.Burst(count=300)
    scene.replies += burst.customers

    async with scene.under(burst):
        assert len(await scene.accepted()) < len(burst.customers)
        scene.offer(5)

    assert await scene.breaches() == []


async def test_a_paused_number_keeps_its_backlog_until_it_is_resumed(scene: SmallCluster) -> None:
    paused = numbers.Paused(count=50)

    async with scene.under(paused):
        scene.offer(5)
        await until(lambda: has_accepted(scene, 5))
        assert set(await scene.accepted()) & set(paused.customers) == set()
        scene.replies += paused.customers

    assert await scene.breaches() == []


async def test_a_locked_row_keeps_its_customer_waiting_and_nobody_else(scene: SmallCluster) -> None:
    locked = LockedRow(NUMBER)

    async with scene.under(locked):
        scene.offer(10)
        await until(lambda: has_accepted(scene, 10))
        await until(scene.is_locked_out)
        assert locked.customer not in await scene.accepted()
        scene.replies += [locked.customer] * locked.replies
        scene.inbound += locked.wamids

    assert await scene.breaches() == []


@pytest.mark.parametrize(
    ("faults", "check"),
    [
        ([rabbitmq.KILLED], "rabbitmq"),
        ([postgres.STOPPED, postgres.KILLED, postgres.ConnectionLimit(), postgres.ReadOnly()], "database"),
        ([redis.STOPPED, redis.KILLED], "redis"),
        ([network.HalfOpen("rabbitmq")], "rabbitmq"),
        ([network.HalfOpen("postgres")], "database"),
        ([network.HalfOpen("redis")], "redis"),
    ],
    ids=["rabbitmq", "postgres", "redis", "half-open rabbitmq", "half-open postgres", "half-open redis"],
)
async def test_a_server_that_goes_comes_back_to_all_that_waited(
    scene: SmallCluster, faults: Sequence[Fault], check: str
) -> None:
    for fault in faults:
        scene.offer(10)
        async with scene.under(fault):
            scene.offer(20)
            await scene.until_check_fails(check)
        scene.offer(10)
        assert await scene.breaches() == []


async def test_a_bad_network_costs_time_only(scene: SmallCluster) -> None:
    for server in network.SERVERS:
        for fault in (network.Cut(server), network.Latency(server), network.Slow(server)):
            async with scene.under(fault):
                scene.offer(5)
                await scene.until_offered()

    assert await scene.breaches() == []


async def test_a_proxy_is_as_bad_a_network_as_it_says(scene: SmallCluster) -> None:
    """The bite of the network's faults, on an answer of 5 kB that the sandbox gives: least times only."""
    url = scene.place.proxies["cloud_api"].url(scene.place.sandbox_url)
    scene.offer(30)
    await scene.until_done()

    async def ask() -> float:
        started = time.perf_counter()
        async with aiohttp.ClientSession() as client, client.get(f"{url}/_sandbox/messages") as answer:
            assert len(await answer.read()) > 5_000
        return time.perf_counter() - started

    async with scene.under(network.Latency("cloud_api")):
        assert await ask() >= 2 * network.LATENCY_S
    async with scene.under(network.Slow("cloud_api")):
        assert await ask() >= 5_000 / network.BYTES_PER_S
    async with scene.under(network.HalfOpen("cloud_api")):
        asking = asyncio.create_task(ask())
        done, _ = await asyncio.wait({asking}, timeout=0.5)
        assert not done
    await asking  # its connection was reset, and it asked again
    async with scene.under(cloud_api.Refusing()):
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask()
    await ask()


async def test_a_redis_that_loses_its_data_costs_nothing(scene: SmallCluster) -> None:
    scene.offer(30)
    for _ in range(3):
        async with scene.under(redis.Emptied()):
            scene.offer(5)

    assert await scene.breaches() == []


async def test_statements_that_lose_are_tried_again(scene: SmallCluster) -> None:
    await scene.settle_down()
    async with scene.under(postgres.Deadlocks()):
        await scene.offer_until_counted("deadlocks", 2)
    assert await scene.breaches() == []
    cancelling = postgres.CancelledStatements()
    async with scene.under(cancelling):
        await scene.offer_until(lambda: cancelling.count > 20)
    assert await scene.breaches() == []
    async with scene.under(postgres.FailingSerialisation()):
        before = await scene.counted("xact_rollback")
        await scene.offer_until_counted("xact_rollback", before + 5)
    assert await scene.breaches() == []
    async with scene.under(postgres.LockedTables("conversation_mappings", "message_tracking")):
        scene.offer(20)
        await scene.until_said("LockNotAvailableError")

    assert await scene.breaches() == []


async def test_a_cloud_api_that_fails_is_asked_again_and_never_twice(scene: SmallCluster) -> None:
    faults: Sequence[tuple[Fault, str]] = (
        (cloud_api.Refusing(), "send failed: ClientConnectorError"),
        (cloud_api.hanging(), "send ambiguous: TimeoutError"),
        (cloud_api.closing(), "send ambiguous: ServerDisconnectedError"),
        (cloud_api.half_answering(), "send ambiguous: ClientPayloadError"),
        (cloud_api.failing(), "send failed: 131000: "),
        (cloud_api.throttling(), "send failed: 130429: "),
        (cloud_api.TokenExpired(), "is paused, its messages wait"),
    )
    for fault, bite in faults:
        async with scene.under(fault):
            scene.offer(10)
            await scene.until_said(bite)
        assert await scene.breaches() == []
