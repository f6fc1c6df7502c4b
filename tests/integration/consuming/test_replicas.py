"""Two replicas, one of them sick: the healthy one has all of the work.

Nothing heals before the end: what the sick one keeps, nobody works. It may keep it as long as in production;
its hands are smaller than there and the time to give back is shorter.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import pytest
import requests
from aio_pika import Message

from schema.migrator import latest_version
from shared.amqp.delivery import Delivery
from shared.amqp.topology import INBOUND_CORRELATION, INBOUND_RESOLVER
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.consuming.standing import BRAKE_REASON
from shared.durations import DURATIONS
from shared.running.kit import Kit, Worker, WorkerSpec
from shared.running.process import WorkerProcess
from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message
from tests.integration.messaging.messages.test_status_updater import report, update
from tests.support.cluster import Cluster
from tests.support.http import get
from tests.support.paces import FAST
from tests.support.proxy import Proxy
from tests.support.rows import add_mapping
from tests.support.sending import Sender, sender, text
from tests.support.servers import Servers
from tests.support.tracking import add_outbound
from tests.support.waiting import until
from workers.inbound_resolver.worker import SPEC as RESOLVER

__all__ = ["sender"]

#: Production's, but for the delay tiers that the test's virtual host has, and for how soon one gives up.
SICK: Final = replace(
    DURATIONS,
    retry_tier_s=FAST.retry_tier_s,
    redis_call_s=FAST.redis_call_s,
    give_back_s=2.0,
    publish_confirm_s=3.0,
    publish_claim_s=FAST.publish_claim_s,
)
#: A quarter of what is in hand is a batch, as in production.
HANDS: Final = 80
SMALL_HANDS: Final = {"PREFETCH": str(HANDS), "BATCH_SIZE": str(HANDS // 4)}
#: Messages that are sent, of which so many find no place in one replica's hands.
SENT: Final = 100
LEFT: Final = SENT - HANDS
#: Of a sender's lane: all of them have a place in its hands.
EACH: Final = 60
#: Of an updater's replica: three events each.
MESSAGES: Final = 40
CUSTOMERS: Final = [f"4917000001{number:02}" for number in range(25)]


def inbound(count: int) -> list[dict[str, Any]]:
    return [message(number, CUSTOMERS[number % len(CUSTOMERS)]) for number in range(count)]


async def add_messages(cluster: Cluster) -> None:
    mapping = await add_mapping(cluster.conn)
    for number in range(MESSAGES):
        await add_outbound(cluster.conn, mapping_id=mapping, wamid=f"wamid.{number}")


async def report_all(cluster: Cluster) -> None:
    """Three events of each message."""
    for status in ("sent", "delivered", "read"):
        events = [update(status, wamid=f"wamid.{number}") for number in range(MESSAGES)]
        await asyncio.gather(*(report(cluster, event) for event in events))


async def send(cluster: Cluster, count: int = SENT) -> None:
    """More messages than one replica has hands for, or so many."""
    await asyncio.gather(*(cluster.publish("wa.inbound", item["wa_id"], item) for item in inbound(count)))


def told_wamids(cluster: Cluster) -> set[str]:
    return {item["wamid"] for item in enriched(cluster)}


@pytest.fixture(autouse=True)
def small_hands(cluster: Cluster) -> None:
    cluster.environ |= SMALL_HANDS


@asynccontextmanager
async def cut_off(cluster: Cluster, name: str, **environ: str) -> AsyncIterator[Proxy]:
    """A replica of this worker whose PostgreSQL is out of its reach once its hands are full."""
    async with Proxy.before(cluster.database_url) as proxy:
        url = proxy.url(cluster.environment()["DATABASE_URL"])
        async with cluster.running(name, DATABASE_URL=url, **environ):
            yield proxy


async def test_a_resolver_without_its_database_leaves_all_to_another(cluster: Cluster) -> None:
    cluster.durations = SICK
    async with cut_off(cluster, "inbound-resolver") as proxy:
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table message_tracking")
            await send(cluster)
            await until(lambda: _is_deep(cluster, "inbound-resolver", LEFT))
            proxy.refuse()
        async with cluster.running("inbound-resolver"):
            await until(lambda: len(told_wamids(cluster)) == SENT)

    assert await cluster.depth("dlq-handler") == 0


async def test_an_updater_without_its_database_hands_over_the_proofs_it_holds(cluster: Cluster) -> None:
    """Begun or not: a proof that nobody stores would let its message be sent again."""
    cluster.durations = SICK
    await add_messages(cluster)
    async with cut_off(cluster, "status-updater") as proxy:
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table status_events")
            await report_all(cluster)
            await until(lambda: _is_deep(cluster, "status-updater", 3 * MESSAGES - HANDS))
            proxy.refuse()
        async with cluster.running("status-updater"):
            await until(lambda: _count(cluster, "status_events where outcome is not null", 3 * MESSAGES))

    assert await _count(cluster, "message_tracking where status = 'read'", MESSAGES)
    assert await cluster.depth("dlq-handler") == 0


async def test_a_sender_without_its_database_leaves_all_lanes_to_another(sender: Sender) -> None:
    """Some are on their way to the platform when it happens: their answers are kept, and nothing else."""
    cluster = sender.cluster
    cluster.durations = SICK
    environ = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_PHONE_NUMBER_ID": "1001"}
    environ |= {"WHATSAPP_NUMBER_MPS": "100000"}
    async with cut_off(cluster, "outbound-sender", **environ) as proxy:
        async with cluster.conn.transaction():
            await cluster.conn.execute("lock table message_tracking")
            for lane in ("reply", "utility", "bulk"):
                for number in range(EACH):
                    customer = f"4917{lane == 'bulk':d}{lane == 'reply':d}00{number:05}"
                    await sender.ask(text(f"{lane}.{number}", customer), lane)
            for queue in ("outbound-sender", "outbound-sender.utility", "outbound-sender.bulk"):
                await until(lambda queue=queue: _is_taken(cluster, queue))  # type: ignore[misc]
            proxy.refuse()
        async with sender.running():
            await until(lambda: _count(cluster, "message_tracking where status = 'sent'", 3 * EACH))

    assert (await sender.sandbox.stats())["accepted"] == 3 * EACH
    assert await cluster.depth("dlq-handler") == 0


class Broken(Handler):
    """Fails unexpectedly, whatever it gets."""

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        raise RuntimeError("broken")
        yield []


def compose_broken(kit: Kit) -> Worker:
    """A resolver whose first queue is beyond it; the other is well, and idle."""
    worker = RESOLVER.compose(kit)
    routes = [
        replace(route, handler=Broken()) if route.queue == INBOUND_RESOLVER else route
        for route in worker.routes
    ]
    assert [route.queue for route in routes] == [INBOUND_RESOLVER, INBOUND_CORRELATION]
    return replace(worker, routes=routes)


@asynccontextmanager
async def braking(cluster: Cluster) -> AsyncIterator[None]:
    """A resolver whose brake has tripped, with its hands full."""
    broken = WorkerSpec(RESOLVER.name, compose_broken)
    process = WorkerProcess(RESOLVER.name, [broken], cluster.settings(), latest_version(), cluster.durations)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(process.run())
        await until(lambda: _count_consumers(cluster, "inbound-resolver", 1))
        await send(cluster)
        await until(lambda: _count_consumers(cluster, "inbound-resolver", 0))
        try:
            yield
        finally:
            process.stop()
    assert running.result() == 0


async def test_a_braking_resolver_leaves_all_but_its_tries_to_another(cluster: Cluster) -> None:
    cluster.durations = SICK
    async with braking(cluster), cluster.running("inbound-resolver"):
        await until(lambda: len(told_wamids(cluster)) == SENT)

    assert await cluster.depth("dlq-handler") == 0


async def test_an_idle_queue_does_not_clear_the_brake_of_another(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker is live all the time, and not ready until the brake itself lets go."""
    caplog.set_level("INFO")
    cluster.durations = SICK
    async with braking(cluster):
        port = next(text for text in caplog.messages if "health on port" in text).rpartition(" ")[2]
        told = f"{INBOUND_RESOLVER}: {BRAKE_REASON}"
        for number in range(3):
            closed = {"conversation_id": f"unknown {number}"}
            await cluster.publish("wa.correlation", "genesys.closed", closed)
            await until(lambda n=number: _has_failed(caplog, n + 1))  # type: ignore[misc]
            assert (await get(f"http://127.0.0.1:{port}", "/health/live"))[0] == 200
            code, verdict = await get(f"http://127.0.0.1:{port}", "/health/ready")
            assert (code, verdict["reasons"]) == (503, [told])


@asynccontextmanager
async def login(servers: Servers, cluster: Cluster, write: str) -> AsyncIterator[str]:
    """The URL of a login of its own, which may write to these exchanges and queues only."""
    api = f"{servers.rabbitmq_management_url.rstrip('/')}/api"
    name, parts = f"limited-{uuid4().hex[:8]}", urlsplit(cluster.rabbitmq_url)
    user, host = f"{api}/users/{name}", quote(parts.path[1:], safe="")
    rights = {"configure": ".*", "write": write, "read": ".*"}
    await asyncio.to_thread(requests.put, user, json={"password": name, "tags": ""}, timeout=30)
    await asyncio.to_thread(requests.put, f"{api}/permissions/{host}/{name}", json=rights, timeout=30)
    try:
        yield urlunsplit(parts._replace(netloc=f"{name}:{name}@{parts.netloc.rpartition('@')[2]}"))
    finally:
        await asyncio.to_thread(requests.delete, user, timeout=30)


async def test_a_resolver_that_cannot_publish_leaves_all_to_another(
    cluster: Cluster, servers: Servers
) -> None:
    cluster.durations = SICK
    await send(cluster)
    async with (
        login(servers, cluster, r"^(?!wa\.events$).*") as url,
        cluster.running("inbound-resolver", RABBITMQ_URL=url),
    ):
        await until(lambda: _is_deep(cluster, "inbound-resolver", LEFT))
        async with cluster.running("inbound-resolver"):
            await until(lambda: len(told_wamids(cluster)) == SENT)
            marked = "message_tracking where published_at is not null"
            await until(lambda: _count(cluster, marked, SENT))

    assert await cluster.depth("dlq-handler") == 0


async def test_an_updater_whose_publishing_connection_is_gone_leaves_all_to_another(
    cluster: Cluster, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    """Its events would be left to the scheduler, ten seconds for each batch."""
    caplog.set_level("INFO")
    cluster.durations = SICK
    await add_messages(cluster)
    async with (
        Proxy.before(cluster.rabbitmq_url) as proxy,
        cluster.running("status-updater", RABBITMQ_URL=proxy.url(cluster.rabbitmq_url)),
    ):
        await until(lambda: _count_consumers(cluster, "status-updater", 1))
        proxy.close_port()
        await close_connections(servers, cluster, "wabus status-updater:publish")
        await until(lambda: "status-updater:publish to RabbitMQ was lost" in caplog.text)
        await report_all(cluster)
        await until(lambda: "publishing to RabbitMQ is away" in caplog.text)
        async with cluster.running("status-updater"):
            await until(lambda: _count(cluster, "status_events where outcome is not null", 3 * MESSAGES))
        await proxy.open_port()

    assert await _count(cluster, "message_tracking where status = 'read'", MESSAGES)
    assert await cluster.depth("dlq-handler") == 0


async def test_a_full_queue_of_enriched_messages_kills_none_however_long_it_lasts(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten hours at another pace: what is tried is given back more often than RabbitMQ's limit allows."""
    tries = 2 * cluster.durations.delivery_limit
    cluster.durations = replace(cluster.durations, give_back_s=0.1, hold_when_store_away_s=0.1)
    full = await cluster.channel.declare_queue(
        "test.full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
    )
    await cluster.channel.default_exchange.publish(Message(b"{}"), full.name)
    await full.bind("wa.events", "inbound.enriched")
    async with cluster.running("inbound-resolver"):
        await send(cluster, 1)
        await until(lambda: caplog.text.count("1 deliveries of inbound-resolver are given back") >= tries)
        await until(lambda: _count_consumers(cluster, "inbound-resolver", 0))
        await full.delete(if_empty=False)
        await until(lambda: len(told_wamids(cluster)) == 1)
        await until(lambda: _count(cluster, "message_tracking where published_at is not null", 1))

    assert await cluster.depth("dlq-handler") == 0


async def test_a_resolver_that_cannot_store_kills_none_however_long_it_lasts(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk: PostgreSQL looks well whenever one looks at it, and takes nothing."""
    caplog.set_level("INFO")
    tries = 2 * cluster.durations.delivery_limit
    cluster.durations = replace(cluster.durations, give_back_s=0.1, hold_when_store_away_s=0.1)
    await cluster.conn.execute(
        """create function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'no space left' using errcode = '53100'; end $$;
           create trigger refuse before insert on message_tracking execute function refuse()"""
    )
    async with cluster.running("inbound-resolver"):
        await send(cluster, 1)
        await until(lambda: caplog.text.count("1 deliveries of inbound-resolver are given back") >= tries)
        await cluster.conn.execute("drop trigger refuse on message_tracking")
        await until(lambda: len(told_wamids(cluster)) == 1)

    assert await cluster.depth("dlq-handler") == 0


async def close_connections(servers: Servers, cluster: Cluster, name: str) -> None:
    """Close the connections of this name; RabbitMQ's statistics know them seconds after they came."""
    api = f"{servers.rabbitmq_management_url.rstrip('/')}/api"
    host = quote(urlsplit(cluster.rabbitmq_url).path[1:], safe="")

    async def is_closed() -> bool:
        answer = await asyncio.to_thread(requests.get, f"{api}/vhosts/{host}/connections", timeout=30)
        found = [
            item for item in answer.json() if item.get("client_properties", {}).get("connection_name") == name
        ]
        for item in found:
            url = f"{api}/connections/{quote(item['name'], safe='')}"
            await asyncio.to_thread(requests.delete, url, timeout=30)
        return bool(found)

    await until(is_closed)


async def _is_taken(cluster: Cluster, queue: str) -> bool:
    """Whether the one that consumes has all of it in hand."""
    return await cluster.depth(queue) == 0


async def _is_deep(cluster: Cluster, queue: str, depth: int) -> bool:
    """So many are ready: all others are in somebody's hands."""
    return await cluster.depth(queue) == depth


async def _count(cluster: Cluster, rows: str, count: int) -> bool:
    return bool(await cluster.conn.fetchval(f"select count(*) from {rows}") == count)


async def _count_consumers(cluster: Cluster, queue: str, count: int) -> bool:
    declared = await cluster.channel.declare_queue(queue, passive=True)
    return declared.declaration_result.consumer_count == count


def _has_failed(caplog: pytest.LogCaptureFixture, times: int) -> bool:
    """The idle queue has worked so many: each is retried, its conversation is unknown."""
    return sum("no conversation unknown" in text for text in caplog.messages) >= times
