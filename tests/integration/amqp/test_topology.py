"""The topology on a real broker: what its arguments promise there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection

from shared.amqp.pika.declare import check_topology, compare_topology, declare_topology
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, INBOUND, INBOUND_RESOLVER, Queue, build_topology
from shared.errors import TopologyMissing
from tests.support.cluster import (
    Cluster,
    limited_user,
    new_virtual_host,
)
from tests.support.dead_letters import publish_raw
from tests.support.program import run_wabus
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.mark.parametrize("queue", [DLQ_HANDLER, ENRICHED])
async def test_a_queue_without_a_limit_keeps_what_is_delivered_again_and_again(
    cluster: Cluster, queue: str
) -> None:
    await publish_raw(cluster, "", queue, b"kept")
    source = await cluster.channel.get_queue(queue, ensure=False)
    refused = 0

    async def is_refused_often() -> bool:
        nonlocal refused
        message = await source.get(fail=False)
        if message is not None:
            await message.reject(requeue=True)
            refused += 1
        return refused == 30

    await until(is_refused_often)
    await until(lambda: _is_there(cluster, queue))

    assert await cluster.depth("dlq-handler") == int(queue == DLQ_HANDLER)


@pytest.fixture(scope="module")
def declared(servers: Servers) -> Iterator[str]:
    """A virtual host with the topology of production; what a test changes there it declares anew."""
    with new_virtual_host(servers) as url:
        asyncio.run(_declare_all(url))
        yield url


async def _declare_all(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        await declare_topology(connection, build_topology())


@asynccontextmanager
async def changed(
    url: str, kind: str, name: str
) -> AsyncIterator[tuple[AbstractConnection, AbstractChannel]]:
    """Without one queue or exchange, for something else in its place; in the end it is as it must be."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        delete = channel.queue_delete if kind == "queue" else channel.exchange_delete
        await delete(name)
        try:
            yield connection, channel
        finally:
            await delete(name)
            await declare_topology(connection, build_topology())


@pytest.mark.parametrize(
    "argument", sorted({name for queue in build_topology().queues for name in queue.arguments})
)
async def test_a_queue_with_another_argument_is_told(declared: str, argument: str) -> None:
    queue = next(queue for queue in build_topology().queues if argument in queue.arguments)
    await check_is_told(declared, queue, _without(queue, argument))


async def check_is_told(url: str, queue: Queue, arguments: dict[str, object]) -> None:
    """By check, and by a start, which ends. A tier without any delay keeps its messages for ever."""
    async with changed(url, "queue", queue.name) as (connection, channel):
        await channel.declare_queue(queue.name, durable=True, arguments=arguments)  # type: ignore[arg-type]
        compared = await compare_topology(connection, build_topology())
        with pytest.raises(TopologyMissing, match=f"queue {queue.name}.*wabus topology declare"):
            await check_topology(connection, build_topology())
    assert compared.missing == []
    (told,) = compared.different
    assert told.startswith(f"queue {queue.name}: 'x-")


def _without(queue: Queue, argument: str) -> dict[str, object]:
    """As an operator might have declared it: what needs the argument is not there either."""
    needing = {
        "x-queue-type": {"x-overflow", "x-delivery-limit", "x-dead-letter-strategy"},
        "x-dead-letter-exchange": {"x-dead-letter-routing-key", "x-dead-letter-strategy", "x-message-ttl"},
    }
    gone = {argument} | needing.get(argument, set())
    return {name: value for name, value in queue.arguments.items() if name not in gone}


async def test_a_tier_with_another_delay_is_told_by_check_and_keeps_no_worker_from_starting(
    declared: str,
) -> None:
    tier = next(queue for queue in build_topology().queues if queue.ttl_s is not None)
    async with changed(declared, "queue", tier.name) as (connection, channel):
        other = tier.arguments | {"x-message-ttl": 7777}
        await channel.declare_queue(tier.name, durable=True, arguments=other)  # type: ignore[arg-type]
        compared = await compare_topology(connection, build_topology())
        await check_topology(connection, build_topology())
    (told,) = compared.different

    assert told.startswith(f"queue {tier.name}: 'x-message-ttl'")
    assert "7777" in told


async def test_another_delay_hides_nothing_else_from_a_start(declared: str) -> None:
    tier = next(queue for queue in build_topology().queues if queue.ttl_s is not None)
    async with changed(declared, "queue", tier.name) as (connection, channel):
        other = tier.arguments | {"x-message-ttl": 7777, "x-overflow": "drop-head"}
        await channel.declare_queue(tier.name, durable=True, arguments=other)  # type: ignore[arg-type]
        with pytest.raises(TopologyMissing, match="x-overflow"):
            await check_topology(connection, build_topology())


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"type": "fanout"}, "'type'"),
        ({"durable": False}, "'durable'"),
        ({"auto_delete": True}, "'auto_delete'"),
        ({"arguments": {}}, "'alternate-exchange'"),
    ],
    ids=["fanout", "transient", "deleted with its last queue", "without alternate"],
)
async def test_another_exchange_under_a_name_of_ours_is_told(
    declared: str, how: dict[str, Any], told: str
) -> None:
    async with changed(declared, "exchange", INBOUND) as (connection, channel):
        wanted: dict[str, Any] = {
            "type": "topic",
            "durable": True,
            "arguments": {"alternate-exchange": "wa.unrouted"},
        }
        await channel.declare_exchange(INBOUND, **wanted | how)
        compared = await compare_topology(connection, build_topology())
        with pytest.raises(TopologyMissing, match=f"exchange {INBOUND}.*{told}"):
            await check_topology(connection, build_topology())

    assert [item for item in compared.different if not item.startswith(f"exchange {INBOUND}: {told}")] == []
    assert len(compared.different) == 1


async def test_lost_bindings_are_told_and_the_next_start_binds_anew(declared: str, servers: Servers) -> None:
    # Given
    async with await aio_pika.connect(declared) as connection:
        channel = await connection.channel()
        await (await channel.get_queue(INBOUND_RESOLVER, ensure=False)).unbind(INBOUND, "#")
        environ = {
            "RABBITMQ_URL": declared,
            "RABBITMQ_MANAGEMENT_URL": servers.rabbitmq_management_url,
            "WHATSAPP_API_URL": "http://127.0.0.1:1",
        }
        # When
        outcome = await run_wabus("topology", "check", environ=environ)
        findings = (await run_wabus("doctor", "--json", environ=environ)).json["findings"]
        # Then
        lost = f"queue {INBOUND_RESOLVER} to exchange {INBOUND} with key #"
        assert (outcome.code, outcome.out.splitlines()[0]) == (1, f"not bound: {lost}")
        told = next(item for item in findings if item["check"] == "bindings")
        assert (told["level"], told["detail"], told["mend"]) == (
            "error",
            f"lost: {lost}",
            "wabus topology declare",
        )
        # When a worker starts
        await check_topology(connection, build_topology())
    # Then
    outcome = await run_wabus("topology", "check", environ=environ)

    assert (outcome.code, outcome.out) == (0, "nothing is missing or different\nbindings: all are there\n")


async def test_without_the_management_plugin_a_check_says_that_bindings_were_not_seen(declared: str) -> None:
    environ = {"RABBITMQ_URL": declared}
    unset = await run_wabus("topology", "check", environ=environ)
    away = await run_wabus(
        "topology", "check", environ=environ | {"RABBITMQ_MANAGEMENT_URL": "http://a:hidden@127.0.0.1:1"}
    )

    assert (unset.code, away.code) == (0, 0)
    assert "RABBITMQ_MANAGEMENT_URL is not set" in unset.out
    assert "bindings: not seen: http://***@127.0.0.1:1" in away.out
    assert "hidden" not in away.out + away.err


async def test_a_right_that_is_missing_is_one_line_with_the_command(declared: str, servers: Servers) -> None:
    with limited_user(servers, declared, configure="^$", write=".*", read=".*") as url:
        declare = await run_wabus("topology", "declare", environ={"RABBITMQ_URL": url})
        check = await run_wabus("topology", "check", environ={"RABBITMQ_URL": url})
        async with await aio_pika.connect(url) as connection:
            await check_topology(connection, build_topology())  # a worker may start all the same

    assert (declare.code, declare.out) == (1, "")
    (line,) = declare.err.splitlines()
    user, host = urlsplit(url).username, urlsplit(url).path[1:]

    assert f"user {user} lacks the right to configure exchange wa.unrouted" in line
    assert f"rabbitmqctl set_permissions -p {host} {user} '.*' '.*' '.*'" in line
    assert (check.code, check.err) == (0, "")
    assert "not compared for want of the right to configure: exchange wa.unrouted" in check.out


@pytest.mark.parametrize(
    ("rights", "told"),
    [
        ({"configure": ".*", "write": "^$", "read": ".*"}, "write queue dlq-handler"),
        ({"configure": ".*", "write": ".*", "read": "^(?!wa.dlx).*"}, "read exchange wa.dlx"),
    ],
)
async def test_the_right_to_write_or_read_that_is_missing_is_named(
    declared: str, servers: Servers, rights: dict[str, str], told: str
) -> None:
    with limited_user(servers, declared, **rights) as url:
        outcome = await run_wabus("topology", "declare", environ={"RABBITMQ_URL": url})

    (line,) = outcome.err.splitlines()

    assert f"lacks the right to {told}; run" in line


async def _is_there(cluster: Cluster, queue: str) -> bool:
    return await cluster.depth(queue) == 1
