"""Servers of its own, a database, a virtual host and processes for a measurement, gone with it."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel
from redis.asyncio import Redis

from deploy import stack
from schema.migrator import migrate
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from tests.support.cluster import new_virtual_host
from tests.support.databases import new_database
from tests.support.servers import Servers, servers_of, stack_root
from tests.support.waiting import until

#: Variables that name servers of others.
_URL: Final = ("RABBITMQ_URL", "RABBITMQ_MANAGEMENT_URL", "DATABASE_URL", "REDIS_URL")


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
    """A migrated database and a declared virtual host on new servers, which write to their disks."""
    environ = {name: value for name, value in os.environ.items() if not name.endswith(_URL)}
    with stack_root() as root:
        servers: Servers = servers_of(stack.up(root, environ, progress=lambda _: None).urls())
        with new_virtual_host(servers) as amqp_url, new_database(servers.database_url) as database_url:
            asyncio.run(_prepare(amqp_url, database_url))
            yield Ground(amqp_url, database_url, servers.redis_url)


async def _prepare(amqp_url: str, database_url: str) -> None:
    await migrate(database_url)
    async with open_session(amqp_url) as session:
        await session.declare(build_topology())


async def clean(place: Ground, queues: Sequence[str], *, keeps_rows: bool = False) -> None:
    """Empty Redis, these queues as far as they are there, and, unless it keeps them, the tables."""
    if not keeps_rows:
        await _truncate(place.database_url)
    async with Redis.from_url(place.redis_url) as redis:
        await redis.flushdb()
    async with await aio_pika.connect(place.rabbitmq_url) as amqp:
        for queue in queues:
            channel = await amqp.channel()
            with suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                await (await channel.get_queue(queue)).purge()


async def _truncate(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        tables = await connection.fetchval(
            "select string_agg(format('%I', tablename), ',') from pg_tables"
            " where schemaname = 'public' and tablename <> 'schema_migrations'"
        )
        await connection.execute(f"truncate {tables} restart identity")
    finally:
        await connection.close()


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
async def program(
    place: Ground, command: Sequence[str], environ: Mapping[str, str], *, is_heard: bool = True
) -> AsyncIterator[Process]:
    """A Python program (`-m` and so on), asked to end at the end; `environ` adds settings.

    `is_heard=False`: what it writes is shown only where the block fails.
    """
    settings = place.environ | {"LOG_LEVEL": "ERROR"} | dict(environ)
    with tempfile.TemporaryFile() as log:
        output = None if is_heard else log
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=settings, stdout=output, stderr=output
        )
        try:
            yield process
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-_TOLD_BYTES:].decode(errors="replace"))
            raise
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            await process.wait()


def worker(
    place: Ground, name: str, *, is_heard: bool = True, **environ: str
) -> AbstractAsyncContextManager[Process]:
    """One worker process, drained at the end; `environ` adds settings, `is_heard` as for a program."""
    return program(place, ("-m", "workers", "worker", name), environ, is_heard=is_heard)


#: Of what a program wrote that failed.
_TOLD_BYTES: Final = 4000
#: The access token of `sandbox`.
TOKEN: Final = "bench"


@asynccontextmanager
async def sandbox(latency_ms: float) -> AsyncIterator[tuple[str, Process]]:
    """A sandbox process; gives its URL."""
    command = (sys.executable, "-m", "workers", "sandbox", "--token", TOKEN, "--latency-ms", str(latency_ms))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip(), process
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


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and its children have used so far."""
    ticks = sum(int(fields[11]) + int(fields[12]) for fields in map(_stat, family(pid)) if fields)
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Memory of a process and its children, in MiB; what they share counts once."""
    return sum(map(_proportional_kb, family(pid))) / 1024


def family(pid: int) -> list[int]:
    """The process and all below it."""
    parents = {
        int(name): int(fields[1])
        for name in os.listdir("/proc")
        if name.isdigit() and (fields := _stat(int(name)))
    }
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name; none of a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _proportional_kb(pid: int) -> int:
    with (
        suppress(FileNotFoundError, ProcessLookupError),
        open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup,
    ):
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
    return 0
