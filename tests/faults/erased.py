"""Customers of two addresses who are erased while these are being joined, and at the end for good.

Their messages are no part of the recorded load: some are gone before they were told. What must hold is that
nothing stays of them, and that nobody else is held up or lost by it, which the others' promises say.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final
from uuid import uuid4

import asyncpg

from deploy.demo.day import NUMBERS
from deploy.sandbox.customers import user_id_of
from shared.amqp.topology import INBOUND
from shared.coordination.client import RedisClient, RedisUnavailable
from shared.coordination.removal import remove_keys
from shared.errors import StoreError
from shared.messaging.customers.erasure import erase
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.faults.wire import SteadyWire
from tests.support.servers import Servers

#: How their wamids begin: the agents' side takes no notice of them.
WAMIDS: Final = "wamid.erased."
_EVERY_S: Final = 1.5
#: From their first message on, within which an erasure begins, under either address.
_AT_ONCE_S: Final = 0.3
_AGAIN_S: Final = 1.0
_GIVE_UP_S: Final = 60.0
_LEFT: Final = """
select 'conversation_mappings' as place, wa_id as address from conversation_mappings where wa_id = any($1)
union all select 'customer_addresses', address from customer_addresses
where address = any($1) or phone = any($1)
union all select 'customer_profiles', phone from customer_profiles where phone = any($1)
union all select 'broadcast_recipients', wa_id from broadcast_recipients where wa_id = any($1)
union all select 'message_tracking', wamid from message_tracking where starts_with(wamid, $2)
"""


class Erased:
    """`run` it in a task, `stop` it after the last fault; `finish` once all is at rest."""

    def __init__(self, wire: SteadyWire, servers: Servers, seed: int) -> None:
        self._wire = wire
        self._servers = servers
        self._random = Random(f"erased {seed}")
        self._addresses: list[tuple[str, str]] = []
        self._is_over = False

    async def run(self) -> None:
        """One after the other writes and is erased, until `stop`."""
        database, redis = self._open()
        try:
            while not self._is_over:
                await self._play(database, redis, len(self._addresses))
                await asyncio.sleep(_EVERY_S)
        finally:
            await redis.close()
            await database.close()

    def stop(self) -> None:
        """Nobody else writes."""
        self._is_over = True

    async def finish(self) -> list[str]:
        """Erase everybody under each of their addresses; what is left of them all the same, a line each."""
        database, redis = self._open()
        try:
            for pair in self._addresses:
                for address in pair:
                    await _erase(database, redis, address)
        finally:
            await redis.close()
            await database.close()
        every = [address for pair in self._addresses for address in pair]
        connection = await asyncpg.connect(self._servers.database_url)
        try:
            return [
                f"{row['place']}: {row['address']}" for row in await connection.fetch(_LEFT, every, WAMIDS)
            ]
        finally:
            await connection.close()

    @property
    def count(self) -> int:
        """How many people it were."""
        return len(self._addresses)

    def _open(self) -> tuple[Database, RedisClient]:
        return Database(self._servers.database_url), RedisClient(self._servers.redis_url)

    async def _play(self, database: Database, redis: RedisClient, place: int) -> None:
        phone = f"49172{place:05d}100"
        user_id = user_id_of(phone)
        self._addresses.append((phone, user_id))
        number = NUMBERS[place % len(NUMBERS)]
        bodies = [_body(number, user_id), _body(number, phone), _body(number, phone, user_id)]
        self._random.shuffle(bodies)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(bodies))
            await asyncio.sleep(self._random.uniform(0, _AT_ONCE_S))
            group.create_task(_erase(database, redis, self._random.choice((phone, user_id))))

    async def _write(self, bodies: Sequence[dict[str, Any]]) -> None:
        for body in bodies:
            await self._wire.publish(INBOUND, body["wa_id"], body)


async def _erase(database: Database, redis: RedisClient, address: str) -> None:
    """Again while a server is away. Raises StoreError where it stays so."""
    given_up = time.monotonic() + _GIVE_UP_S
    while True:
        try:
            erasure = await erase(database, address, TABLES, by="fault rig", dry_run=False)
        except StoreError:
            if time.monotonic() > given_up:
                raise
            await asyncio.sleep(_AGAIN_S)
        else:
            with suppress(RedisUnavailable):  # what it caches goes by itself
                await remove_keys(redis, erasure.person.keys(NUMBERS))
            return


def _body(number: str, wa_id: str, user_id: str | None = None) -> dict[str, Any]:
    body = {
        "wamid": f"{WAMIDS}{uuid4()}",
        "wa_id": wa_id,
        "timestamp": int(time.time()),
        "message_text": "hello",
        "phone_number_id": number,
    }
    return body if user_id is None else body | {"user_id": user_id}
