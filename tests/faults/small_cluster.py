"""A small cluster to try one fault on: in-process workers behind proxies, a sandbox, a load, a judgement.

The rig (real processes, a schedule of many faults) is elsewhere; this shows each fault by itself, and that
the cluster comes through.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import aio_pika
import aiohttp
import asyncpg
import orjson
import pytest
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, DeliveryError

from deploy.demo.processes import Fleet
from deploy.sandbox.amqp_statuses import AmqpStatuses
from deploy.sandbox.server import Sandbox
from deploy.sandbox.settings import SandboxSettings
from deploy.stack.ports import choose
from schema.migrator import latest_version
from shared.amqp.client import open_session
from shared.amqp.topology import ENRICHED, SHOP_UPDATER, build_topology
from shared.running.process import WorkerProcess
from shared.settings.settings import Settings
from tests.faults.fault import Fault
from tests.faults.place import Place, ServerName
from tests.support.brokers import CLIENT_VARIABLE
from tests.support.paces import FAST
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from tests.support.waiting import until
from workers.registry import load_worker

NUMBER: Final = "1001"
TOKEN: Final = "secret-token"
#: A fault of some seconds must not use up the counted retries of a message. Who looks for work looks seldom:
#: most of the time is waited.
DURATIONS: Final = replace(
    FAST,
    retry_tier_s=(0.2, 0.5, 1.0, 3.0),
    claim_start_s=10.0,
    ambiguous_wait_s=3.0,
    ambiguous_max_s=30.0,
    consumer_watch_s=1.0,
    deferred_look_s=0.1,
    scheduler_tick_s=0.2,
    retention_s=10.0,
    gauges_s=2.0,
)
WORKERS: Final = ("inbound-resolver", "outbound-sender", "status-updater", "dlq-handler", "scheduler")
_READY_S: Final = 40.0
_OFFER_S: Final = 0.2
_DONE_S: Final = 60.0

_CUSTOMERS: Final = 8
_IS_LOCKED_OUT: Final = """
select exists (select from pg_stat_activity
               where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0)
"""
_OPEN: Final = {
    "unpublished inbound": "select count(*) from message_tracking where direction = 'INBOUND'"
    " and published_at is null",
    "deferred": "select count(*) from deferred_messages",
    "unpublished events": "select count(*) from outbox_events where published_at is null",
    "unfinished replies": "select count(*) from message_tracking where direction = 'OUTBOUND'"
    " and status <> 'read'",
    "dead letters": "select count(*) from dead_letter_queue",
}


@dataclass
class SmallCluster:
    """What a test of a fault stands on. Made by `running`."""

    place: Place
    caplog: pytest.LogCaptureFixture
    client: aiohttp.ClientSession
    ports: tuple[int, ...]
    processes: list[WorkerProcess] = field(default_factory=list)
    inbound: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    told: list[tuple[str, object]] = field(default_factory=list)
    refused: int = 0
    _offering: "set[asyncio.Task[None]]" = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, servers: Servers, root: Path, caplog: pytest.LogCaptureFixture
    ) -> AsyncIterator[Self]:
        """Workers that are ready, until the block ends; each must then drain with exit code 0."""
        await prepare(servers.rabbitmq_url)
        paced = {"token": TOKEN, "status_delay_ms": {"sent": 20, "delivered": 40, "read": 60}}
        async with AsyncExitStack() as stack:
            sink = AmqpStatuses(servers.rabbitmq_url)
            sandbox = await stack.enter_async_context(
                Sandbox.running(settings=SandboxSettings.model_validate(paced), sink=sink)
            )
            urls: dict[ServerName, str] = {
                "rabbitmq": servers.rabbitmq_url,
                "postgres": servers.database_url,
                "redis": servers.redis_url,
                "cloud_api": sandbox.url,
            }
            proxies: dict[ServerName, Proxy] = {
                name: await stack.enter_async_context(Proxy.before(url)) for name, url in urls.items()
            }
            client = await stack.enter_async_context(aiohttp.ClientSession())
            place = Place(servers, root, proxies, sandbox.url, Fleet({}, client, lambda _: None))
            scene = cls(place, caplog, client, choose(len(WORKERS)))
            for name, port in zip(WORKERS, scene.ports, strict=True):
                settings = Settings.from_env(scene._environment(urls) | {"METRICS_PORT": str(port)})
                process = WorkerProcess(name, [load_worker(name)], settings, latest_version(), DURATIONS)
                scene.processes.append(process)
            await stack.enter_async_context(scene._work())
            await scene.until_ready()
            yield scene

    def _environment(self, urls: dict[ServerName, str]) -> dict[str, str]:
        names: dict[str, ServerName] = {
            "RABBITMQ_URL": "rabbitmq",
            "DATABASE_URL": "postgres",
            "REDIS_URL": "redis",
            "WHATSAPP_API_URL": "cloud_api",
        }
        through = {name: self.place.proxies[server].url(urls[server]) for name, server in names.items()}
        fixed = {"WHATSAPP_ACCESS_TOKEN": TOKEN, "WHATSAPP_NUMBER_MPS": "100000"}
        return CLIENT_VARIABLE | through | fixed | {"WHATSAPP_PHONE_NUMBER_ID": NUMBER}

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(process.run()) for process in self.processes]
            ending = [group.create_task(_fail_if_it_ends(task)) for task in tasks]
            try:
                yield
            finally:
                for task in (*ending, *self._offering):
                    task.cancel()
                for process in self.processes:
                    process.stop()
        assert [task.result() for task in tasks] == [0] * len(tasks)

    @asynccontextmanager
    async def under(self, fault: Fault) -> AsyncIterator[None]:
        """A fault in force, healed at the end of the block, and the workers ready again by themselves."""
        try:
            try:
                await fault.strike(self.place)
                yield
            finally:
                await fault.heal(self.place)
            await self.until_ready()
        except BaseException as error:
            error.add_note(f"under: {fault.name}")
            raise

    def offer(self, count: int, *, replies: bool = True) -> None:
        """Publish inbound messages and replies, each until RabbitMQ has confirmed it."""
        number = len(self.inbound)
        inbound = [_inbound(number + place) for place in range(count)]
        self.inbound += [body["wamid"] for body in inbound]
        number = len(self.replies)
        outbound = [_reply(number + place) for place in range(count if replies else 0)]
        self.replies += [body["wa_id"] for body in outbound]
        messages = [("wa.inbound", body["wa_id"], body) for body in inbound]
        messages += [("wa.outbound", f"reply.{body['wa_id']}", body) for body in outbound]
        self._publish(messages)

    def offer_refused(self, count: int) -> None:
        """Publish what is retried and then dead, and what is dead at once: a half each."""
        number = self.refused
        self.refused += count
        unknown = {"whatsapp_message_id": "wamid.unknown", "communication_id": "x"}
        bodies = [unknown | {"conversation_id": f"unknown-{number + place}"} for place in range(count)]
        messages = [
            ("wa.correlation", "genesys", body) if place % 2 else ("wa.inbound", "x", body)
            for place, body in enumerate(bodies)
        ]
        self._publish(messages)

    def _publish(self, messages: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
        self._offering.add(asyncio.create_task(_publish_all(self.place.servers.rabbitmq_url, messages)))

    async def settle_down(self) -> None:
        """Offer something and wait until it has come through: rows that faults may sit on."""
        self.offer(20)
        await self.until_done()
        self.caplog.clear()

    async def counted(self, column: str) -> int:
        """What PostgreSQL has counted in this database so far (`pg_stat_database`)."""
        conn = await asyncpg.connect(self.place.servers.database_url)
        try:
            query = f"select {column} from pg_stat_database where datname = current_database()"
            return int(await conn.fetchval(query))
        finally:
            await conn.close()

    async def offer_until(self, bites: Callable[[], bool | Awaitable[bool]]) -> None:
        """Offer a few messages at a time until a fault that needs luck has struck."""
        async with asyncio.timeout(_READY_S):
            while not (await answer if isinstance(answer := bites(), Awaitable) else answer):
                self.offer(10)
                await self.until_offered()
                await asyncio.sleep(_OFFER_S)

    async def offer_until_counted(self, column: str, count: int) -> None:
        """Offer until PostgreSQL has counted so many."""

        async def is_reached() -> bool:
            return await self.counted(column) >= count

        await self.offer_until(is_reached)

    async def until_offered(self) -> None:
        """Wait until all that was offered is confirmed."""
        offering, self._offering = self._offering, set()
        await asyncio.gather(*offering)

    async def until_said(self, text: str) -> None:
        """Wait for a log line of a worker; the log begins anew."""
        await until(lambda: text in self.caplog.text, _READY_S)
        self.caplog.clear()

    async def until_ready(self) -> None:
        """Wait until every worker says that it is ready."""
        await until(lambda: self._all(200), _READY_S)

    async def until_not_ready(self) -> None:
        """Wait until every worker says that it is not."""
        await until(lambda: self._all(503), _READY_S)

    async def until_done(self) -> None:
        """Wait until everything has come through; fails with what has not."""
        await self.until_offered()
        left: dict[str, int] = {}

        async def is_done() -> bool:
            nonlocal left
            left = await self._left(conn, channel)
            return not left

        try:
            async with _connected(self.place.servers) as (conn, channel):
                await until(is_done, _DONE_S)
        except TimeoutError:
            raise AssertionError(f"not done: {left}\n{self.caplog.text[-6000:]}") from None

    async def breaches(self) -> list[str]:
        """What is lost, or twice, or never was, once all is done: none where all is well."""
        await self.until_done()
        told = await _take(self.place.servers.rabbitmq_url, ENRICHED)
        self.told += [(orjson.loads(item.body)["wamid"], item.headers["x-idempotency-key"]) for item in told]
        untold = {(wamid, wamid) for wamid in self.inbound} ^ set(self.told)
        sent = await self.accepted()
        asked = Counter(self.replies)
        wrong = (sent - asked) + (asked - sent)
        return [
            *(f"told, or not told: {wamid} under {key}" for wamid, key in untold),
            *(f"asked for {asked[to]} replies to {to}, sent {sent[to]}" for to in wrong),
        ]

    async def accepted(self) -> Counter[str]:
        """How many messages the Cloud API has taken, by customer."""
        async with self.client.get(f"{self.place.sandbox_url}/_sandbox/messages") as answer:
            return Counter(message["to"] for message in (await answer.json())["messages"])

    async def is_locked_out(self) -> bool:
        """Whether a session of the database waits for another's lock."""
        conn = await asyncpg.connect(self.place.servers.database_url)
        try:
            return bool(await conn.fetchval(_IS_LOCKED_OUT))
        finally:
            await conn.close()

    @property
    def times_told(self) -> int:
        """How often a message was told at most: each time under one key, so that it counts once."""
        return max(Counter(self.told).values())

    async def until_check_fails(self, name: str) -> None:
        """Wait until every worker that consumes finds that one of its servers does not answer."""

        async def fails() -> bool:
            ports = self.ports[: -WORKERS[::-1].index("scheduler") - 1]
            return set(await asyncio.gather(*(self._check_status(port, name) for port in ports))) == {"error"}

        await until(fails, _READY_S)

    async def _check_status(self, port: int, name: str) -> str:
        async with self.client.get(f"http://127.0.0.1:{port}/health") as answer:
            return str((await answer.json())["checks"][name]["status"])

    async def _all(self, status: int) -> bool:
        return set(await asyncio.gather(*map(self._ready_status, self.ports))) == {status}

    async def _ready_status(self, port: int) -> int:
        try:
            async with self.client.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                return answer.status
        except (aiohttp.ClientError, OSError):
            return 0

    async def _left(
        self, conn: "asyncpg.Connection[asyncpg.Record]", channel: AbstractChannel
    ) -> dict[str, int]:
        counts = {name: await conn.fetchval(query) for name, query in _OPEN.items()}
        tracked = await conn.fetch("select direction, count(*) from message_tracking group by direction")
        found = {row[0]: row[1] for row in tracked}
        counts["dead letters"] -= self.refused
        counts["missing inbound"] = len(self.inbound) - found.get("INBOUND", 0)
        counts["missing replies"] = len(self.replies) - found.get("OUTBOUND", 0)
        counts |= await _depths(channel)
        return {name: count for name, count in counts.items() if count}


async def _fail_if_it_ends(task: "asyncio.Task[int]") -> None:
    code = await asyncio.shield(task)
    raise AssertionError(f"a worker ended by itself, with exit code {code}")


async def prepare(rabbitmq_url: str) -> None:
    """Every queue, empty."""
    async with open_session(rabbitmq_url) as session:
        await session.declare(build_topology(DURATIONS))
    async with await aio_pika.connect(rabbitmq_url) as connection:
        channel = await connection.channel()
        for queue in build_topology(DURATIONS).queues:
            await (await channel.get_queue(queue.name, ensure=False)).purge()


async def _publish_all(url: str, messages: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    """As a patient gateway does: each message again until it is confirmed."""
    left = list(messages)
    while left:
        try:
            async with await aio_pika.connect(url) as connection:
                channel = await connection.channel()
                while left:
                    exchange, routing_key, body = left[0]
                    target = await channel.get_exchange(exchange, ensure=False)
                    await target.publish(aio_pika.Message(orjson.dumps(body), delivery_mode=2), routing_key)
                    left.pop(0)
        except (*CONNECTION_EXCEPTIONS, DeliveryError):
            await asyncio.sleep(0.1)


async def _take(url: str, queue: str) -> list[aio_pika.abc.AbstractIncomingMessage]:
    taken: list[aio_pika.abc.AbstractIncomingMessage] = []
    async with await aio_pika.connect(url) as connection:
        source = await (await connection.channel()).get_queue(queue, ensure=False)
        while (message := await source.get(fail=False, no_ack=True)) is not None:
            taken.append(message)
    return taken


@asynccontextmanager
async def _connected(
    servers: Servers,
) -> AsyncIterator[tuple["asyncpg.Connection[asyncpg.Record]", AbstractChannel]]:
    """To servers that are up: for a look to open both takes longer than to look."""
    conn = await asyncpg.connect(servers.database_url)
    try:
        async with await aio_pika.connect(servers.rabbitmq_url) as connection:
            yield conn, await connection.channel()
    finally:
        await conn.close()


async def _depths(channel: AbstractChannel) -> dict[str, int]:
    """Messages ready in each queue that must be empty. A shop would hear of joins: here is none."""
    depths: dict[str, int] = {}
    for queue in build_topology(DURATIONS).queues:
        if queue.name not in (ENRICHED, SHOP_UPDATER):
            declared = await channel.declare_queue(queue.name, passive=True)
            depths[queue.name] = declared.declaration_result.message_count or 0
    return depths


def _inbound(number: int) -> dict[str, Any]:
    return {
        "wamid": f"wamid.in.{number}",
        "timestamp": "2026-01-15T10:30:00Z",
        "wa_id": f"49160000{number % _CUSTOMERS:04}",
        "message_text": f"message {number}",
        "phone_number_id": NUMBER,
    }


def _reply(number: int) -> dict[str, Any]:
    """Each to a customer of its own whose number makes the sandbox behave."""
    return {
        "client_message_id": f"reply-{number}",
        "wa_id": f"4917{number // 900:05}{number % 900:03}",
        "message_text": f"reply {number}",
        "phone_number_id": NUMBER,
    }
