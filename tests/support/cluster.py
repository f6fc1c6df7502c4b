"""A wabus cluster for one test: its own virtual host, database and Redis keys, fast durations, real workers.

Owns publishing as a gateway does, reading what the cluster published, and running workers in this process.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import aio_pika
import asyncpg
import orjson
import pytest
import requests
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from redis.asyncio import Redis

from schema.migrator import latest_version
from shared.amqp.client import open_session
from shared.amqp.topology import EVENTS, build_topology
from shared.durations import Durations
from shared.running.process import WorkerProcess
from shared.settings.settings import Settings
from tests.support.brokers import CLIENT_VARIABLE
from tests.support.databases import WORKER, with_login
from tests.support.paces import FAST
from tests.support.servers import Servers
from tests.support.waiting import until
from workers.registry import load_worker

_STAT_S: Final = 0.25


@dataclass
class Cluster:
    """One test's cluster; wait for what it does with `tests.support.waiting.until`."""

    rabbitmq_url: str
    database_url: str
    redis_url: str
    channel: AbstractChannel
    events: list[AbstractIncomingMessage]
    conn: "asyncpg.Connection[asyncpg.Record]"
    listener: str
    durations: Durations = FAST
    environ: dict[str, str] = field(default_factory=dict)
    heard: dict[str, asyncio.Event] = field(default_factory=dict)
    has_run: set[str] = field(default_factory=set)

    def environment(self, **environ: str) -> dict[str, str]:
        """The environment variables of a worker of this cluster, `environ` over them."""
        return {
            "RABBITMQ_URL": self.rabbitmq_url,
            "DATABASE_URL": with_login(self.database_url, WORKER, WORKER),
            "REDIS_URL": self.redis_url,
            "METRICS_PORT": "0",
            "WHATSAPP_ACCESS_TOKEN": "secret-token",
            **CLIENT_VARIABLE,
            **self.environ,
            **environ,
        }

    def settings(self, **environ: str) -> Settings:
        """The settings of a worker of this cluster; `environ` adds variables."""
        return Settings.from_env(self.environment(**environ))

    @asynccontextmanager
    async def running(self, *names: str, **environ: str) -> AsyncIterator[list[WorkerProcess]]:
        """Run workers (a name twice: two replicas) until the block ends; one that dies fails it."""
        settings = self.settings(**environ)
        self.has_run.update(names)
        processes = [
            WorkerProcess(name, [load_worker(name)], settings, latest_version(), self.durations)
            for name in names
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(process.run()) for process in processes]
            try:
                yield processes
            finally:
                for process in processes:
                    process.stop()
        assert [task.result() for task in tasks] == [0] * len(tasks)
        await self.hear_out()

    async def hear_out(self) -> None:
        """Wait until `events` has all that RabbitMQ has confirmed: what is sent behind it comes last."""
        last = uuid4().hex
        heard = self.heard[last] = asyncio.Event()
        message = aio_pika.Message(b"", message_id=last)
        await self.channel.default_exchange.publish(message, routing_key=self.listener)
        await until(heard.is_set)

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        payload: dict[str, Any] | bytes,
        headers: dict[str, Any] | None = None,
    ) -> None:
        """Publish as a gateway does: a JSON body, nothing more."""
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body, headers=headers or {}), routing_key=routing_key)

    def told(self, event_type: str) -> list[dict[str, Any]]:
        """Bodies of the events of one name that were published so far, in order."""
        return [orjson.loads(item.body) for item in self.events if item.routing_key == event_type]

    async def depth(self, queue: str) -> int:
        """Messages ready in a queue."""
        return await read_depth(self.channel, queue)

    async def take(self, queue: str) -> list[AbstractIncomingMessage]:
        """Take everything that is ready in a queue."""
        source: AbstractQueue = await self.channel.get_queue(queue, ensure=False)
        taken: list[AbstractIncomingMessage] = []
        while (message := await source.get(fail=False, no_ack=True)) is not None:
            taken.append(message)
        return taken


async def read_depth(channel: AbstractChannel, queue: str) -> int:
    """Messages ready in a queue.

    A quorum queue that does not answer RabbitMQ within 0.25 s is told as empty, without consumers: asked
    again. Source: `rabbit_quorum_queue:stat` of RabbitMQ 3.10.
    """
    clock = asyncio.get_running_loop().time
    while True:
        asked_at = clock()
        found = (await channel.declare_queue(queue, passive=True)).declaration_result
        if found.message_count or found.consumer_count or clock() - asked_at < _STAT_S:
            return found.message_count or 0


@pytest.fixture(scope="session")
def virtual_host(servers: Servers) -> Iterator[str]:
    """The URL of a virtual host of this session with the fast topology declared; tests purge its queues."""
    with new_virtual_host(servers) as url:
        asyncio.run(_declare(url, FAST))
        yield url


@pytest.fixture
async def redis_url(servers: Servers) -> str:
    """The URL of an empty key space: of the server's sixteen the last; each test process has its own."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{15 - process}"))
    async with Redis.from_url(url) as redis:
        await redis.flushdb()
    return url


@pytest.fixture
async def cluster(
    virtual_host: str, database_url: str, redis_url: str, conn: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[Cluster]:
    """A cluster with empty queues, tables and keys."""
    connection = await aio_pika.connect(virtual_host)
    async with connection:
        channel = await connection.channel()
        for queue in reversed(build_topology(FAST).queues):  # the tiers first: they flow into the work
            await (await channel.get_queue(queue.name, ensure=False)).purge(no_wait=True)
        events: list[AbstractIncomingMessage] = []
        listener = await channel.declare_queue(exclusive=True)  # answered once all are purged
        await listener.bind(EVENTS, "#")

        cluster = Cluster(virtual_host, database_url, redis_url, channel, events, conn, listener.name)

        async def note(message: AbstractIncomingMessage) -> None:
            if message.exchange:
                events.append(message)
            else:
                cluster.heard.pop(str(message.message_id)).set()

        await listener.consume(note, no_ack=True)
        yield cluster


@contextmanager
def new_virtual_host(servers: Servers) -> Iterator[str]:
    """The AMQP URL of a virtual host that is deleted at the end."""
    name = f"test-{uuid4().hex[:12]}"
    make_virtual_host(servers, name)
    try:
        yield urlunsplit(urlsplit(servers.rabbitmq_url)._replace(path=f"/{name}"))
    finally:
        drop_virtual_host(servers, name)


def make_virtual_host(servers: Servers, name: str) -> None:
    """Make one that is empty, for the login of the session."""
    api = _management_api(servers)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    requests.put(f"{api}/vhosts/{name}", timeout=30).raise_for_status()
    user = urlsplit(servers.rabbitmq_url).username or "guest"
    requests.put(f"{api}/permissions/{name}/{user}", json=everything, timeout=30).raise_for_status()


def drop_virtual_host(servers: Servers, name: str) -> None:
    """Drop it with all its queues; its connections are closed."""
    requests.delete(f"{_management_api(servers)}/vhosts/{name}", timeout=30).raise_for_status()


@contextmanager
def limited_user(servers: Servers, url: str, **rights: str) -> Iterator[str]:
    """`url` with a login of its own that has these rights (`configure`, `write`, `read`) and no others."""
    api, name, host = _management_api(servers), f"limited-{uuid4().hex[:8]}", urlsplit(url).path[1:]
    user = {"password": name, "tags": ""}
    requests.put(f"{api}/users/{name}", json=user, timeout=30).raise_for_status()
    requests.put(f"{api}/permissions/{host}/{name}", json=rights, timeout=30).raise_for_status()
    parts = urlsplit(url)
    try:
        yield urlunsplit(parts._replace(netloc=f"{name}:{name}@{parts.hostname}:{parts.port}"))
    finally:
        requests.delete(f"{api}/users/{name}", timeout=30).raise_for_status()


def _management_api(servers: Servers) -> str:
    return f"{servers.rabbitmq_management_url.rstrip('/')}/api"


async def _declare(url: str, durations: Durations) -> None:
    async with open_session(url) as session:
        await session.declare(build_topology(durations))
