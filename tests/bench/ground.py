"""Servers, a database, a virtual host and one worker process for a measurement, gone with it."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel

from schema.migrator import migrate
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from tests.support.cluster import new_virtual_host
from tests.support.databases import new_database
from tests.support.servers import Servers, running_stack, servers_of
from tests.support.waiting import until


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a measurement takes place; production's durations."""

    rabbitmq_url: str
    database_url: str
    redis_url: str

    @property
    def environ(self) -> dict[str, str]:
        """Settings of a worker here, over those of this process."""
        return os.environ | {
            "RABBITMQ_URL": self.rabbitmq_url,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "METRICS_PORT": "0",
        }

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """A channel on a connection of its own."""
        async with await aio_pika.connect(self.rabbitmq_url) as connection:
            yield await connection.channel()


@contextmanager
def ground() -> Iterator[Ground]:
    """A migrated database and a declared virtual host on the servers of the environment, or on new ones."""
    with running_stack(os.environ) as urls:
        servers: Servers = servers_of(urls)
        with new_virtual_host(servers) as amqp_url, new_database(servers.database_url) as database_url:
            asyncio.run(_prepare(amqp_url, database_url))
            yield Ground(amqp_url, database_url, servers.redis_url)


async def _prepare(amqp_url: str, database_url: str) -> None:
    await migrate(database_url)
    async with open_session(amqp_url) as session:
        await session.declare(build_topology())


_ADDRESSES: Final = """
insert into customer_addresses (address, phone, kind, source)
select (447000000000 + n)::text, (447000000000 + n)::text, 'phone', 'inbound'
from generate_series(1, $1::int) as n
"""


async def set_addresses(database_url: str, count: int) -> None:
    """Addresses of people who have no part in it: so many, and no others of theirs."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("delete from customer_addresses where starts_with(address, '4470')")
        await connection.execute(_ADDRESSES, count)
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()


#: Publications whose confirms are out together.
_WINDOW = 300


async def publish(channel: AbstractChannel, exchange: str, routing_key: str, bodies: Sequence[bytes]) -> None:
    """Publish persistent messages, confirmed."""
    target = await channel.get_exchange(exchange, ensure=False)
    for start in range(0, len(bodies), _WINDOW):
        part = bodies[start : start + _WINDOW]
        await asyncio.gather(*(target.publish(_message(body), routing_key) for body in part))


def _message(body: bytes) -> aio_pika.Message:
    return aio_pika.Message(
        body, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )


@asynccontextmanager
async def worker(place: Ground, name: str, **environ: str) -> AsyncIterator[Process]:
    """One worker process, drained at the end; `environ` adds settings."""
    command = (sys.executable, "-m", "workers", "worker", name)
    settings = place.environ | {"LOG_LEVEL": "ERROR"} | environ
    process = await asyncio.create_subprocess_exec(*command, env=settings)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def time_when(condition: Callable[[], Awaitable[bool]], timeout_s: float) -> float:
    """The monotonic time at which the condition held."""
    await until(condition, timeout_s)
    return time.monotonic()


async def depth(channel: AbstractChannel, queue: str) -> int:
    """Messages ready in a queue: asking costs the servers next to nothing."""
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


def cpu_s(process: Process) -> float:
    """CPU seconds a process has used so far."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
