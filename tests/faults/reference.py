"""Messages that no worker sees, by the same proxies to the same servers: how slow the machine itself is.

Two cores carry everything, and others besides. While a message of no worker takes three times as long as
without a fault, so may one of the cluster's. Owns its queue and what it measured.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractQueue

from deploy.demo.record import now_s
from shared.amqp.pika.calling import BROKER_ERRORS
from tests.faults.place import ServerName
from tests.faults.proof import Lap
from tests.support.proxy import Proxy
from tests.support.servers import Servers

_EVERY_S: Final = 0.3
_TIMEOUT_S: Final = 30.0
#: A reply goes to RabbitMQ and PostgreSQL about so often between its publish and its acceptance.
_HOPS: Final = 3
_WRITE: Final = "select pg_logical_emit_message(true, 'faults', 'reference')"
_AWAY: Final = (*BROKER_ERRORS, asyncpg.PostgresError, asyncpg.InterfaceError)


class Reference:
    """`run` it in a task until `stop`: clients swallow cancellations. `laps`: what each message took."""

    def __init__(self, servers: Servers, proxies: Mapping[ServerName, Proxy]) -> None:
        self._rabbitmq_url = proxies["rabbitmq"].url(servers.rabbitmq_url)
        self._database_url = proxies["postgres"].url(servers.database_url)
        self._is_over = False
        self.laps: list[Lap] = []

    async def run(self) -> None:
        """Send one message after the other; while a server is away there is nothing to measure."""
        while not self._is_over:
            with suppress(*_AWAY):
                await self._measure()
            await asyncio.sleep(_EVERY_S)

    def stop(self) -> None:
        """Send nothing more."""
        self._is_over = True

    async def _measure(self) -> None:
        """Until `stop`; raises where a server is away."""
        database = await asyncpg.connect(self._database_url, timeout=_TIMEOUT_S)
        try:
            async with await aio_pika.connect(
                self._rabbitmq_url, timeout=_TIMEOUT_S, client_properties={"connection_name": "fault rig"}
            ) as connection:
                channel = await connection.channel()
                queue = await channel.declare_queue(
                    "faults.reference", durable=True, arguments={"x-queue-type": "quorum"}
                )
                while not self._is_over:
                    since = now_s()
                    async with asyncio.timeout(_TIMEOUT_S):
                        await _go(channel, queue, database)
                    self.laps.append(Lap(since, now_s() - since))
                    await asyncio.sleep(_EVERY_S)
        finally:
            database.terminate()


async def _go(channel: AbstractChannel, queue: AbstractQueue, database: "asyncpg.Connection[Any]") -> None:
    for _ in range(_HOPS):
        message = aio_pika.Message(b"{}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, queue.name)
        taken = await queue.get(fail=False)
        await database.execute(_WRITE)
        if taken is not None:
            await taken.ack()
