"""What a handler does to one message, on asyncio: it takes a valid one, and returns its event."""

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, Self

import aiohttp
import asyncpg
from redis.asyncio import BlockingConnectionPool, Redis

from shared.payloads import InboundMessage, OutboundMessage, StatusUpdate
from tests.bench.rivals import statements
from tests.bench.rivals.statements import for_asyncpg

OPEN_MAPPING: Final = for_asyncpg(statements.OPEN_MAPPING)
TRACK: Final = for_asyncpg(statements.TRACK)
STORE_STATUS: Final = for_asyncpg(statements.STORE_STATUS)
RAISE_STATUS: Final = for_asyncpg(statements.RAISE_STATUS)
CLAIM_MESSAGE: Final = for_asyncpg(statements.CLAIM_MESSAGE)
CLAIM_ATTEMPT: Final = for_asyncpg(statements.CLAIM_ATTEMPT)
END_ATTEMPT: Final = for_asyncpg(statements.END_ATTEMPT)
END_MESSAGE: Final = for_asyncpg(statements.END_MESSAGE)

#: Seconds after which a lock of a process that died is free.
LOCK_S: Final = 5
#: Connections to PostgreSQL; to Redis and the Cloud API one for each message in hand.
POOL: Final = 10
AT_ONCE: Final = 100

Event = dict[str, Any]


class Jobs:
    """The three jobs, and the clients that they share."""

    def __init__(
        self, database: "asyncpg.Pool[asyncpg.Record]", redis: Redis, http: aiohttp.ClientSession
    ) -> None:
        self._database = database
        self._redis = redis
        self._http = http

    @classmethod
    async def open(cls, environ: Mapping[str, str], until: AsyncExitStack) -> Self:
        """Connect to the servers that the environment names, until `until` ends."""
        database = await until.enter_async_context(
            asyncpg.create_pool(environ["DATABASE_URL"], min_size=POOL, max_size=POOL)
        )
        connections = BlockingConnectionPool.from_url(environ["REDIS_URL"], max_connections=AT_ONCE)
        redis = await until.enter_async_context(Redis.from_pool(connections))
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        return cls(
            database, redis, await until.enter_async_context(aiohttp.ClientSession(connector=connector))
        )

    async def inbound(self, message: InboundMessage) -> Event:
        """Open the customer's mapping and track the message."""
        number = message.phone_number_id or "default"
        async with (
            self._redis.lock(f"lock:{number}:{message.wa_id}", timeout=LOCK_S),
            self._database.acquire() as connection,
            connection.transaction(),
        ):
            mapping = await connection.fetchrow(
                OPEN_MAPPING, number, message.wa_id, message.contact_name, message.wamid
            )
            assert mapping is not None
            facts = (mapping["id"], message.wamid, message.message_type, message.timestamp, mapping["opened"])
            await connection.execute(TRACK, *facts)
        return enriched(message, str(mapping["id"]), mapping["conversation_id"], mapping["opened"])

    async def status(self, update: StatusUpdate) -> Event:
        """Store the event and raise its message."""
        async with (
            self._redis.lock(f"lock:{update.wamid}", timeout=LOCK_S),
            self._database.acquire() as connection,
            connection.transaction(),
        ):
            facts = (update.wamid, update.status, update.timestamp)
            await connection.execute(STORE_STATUS, *facts)
            await connection.execute(RAISE_STATUS, *facts)
        return {"wamid": update.wamid, "status": update.status}

    async def outbound(self, message: OutboundMessage) -> Event:
        """Claim an attempt, ask the Cloud API, note its answer."""
        async with self._redis.lock(f"lock:1001:{message.wa_id}", timeout=LOCK_S):
            async with self._database.acquire() as connection, connection.transaction():
                mapping = await connection.fetchrow(OPEN_MAPPING, "1001", message.wa_id, None, None)
                assert mapping is not None
                claimed = await connection.fetchval(CLAIM_MESSAGE, mapping["id"], message.client_message_id)
                await connection.execute(CLAIM_ATTEMPT, claimed)
            url, headers = cloud_api(os.environ)
            async with self._http.post(url, json=graph_body(message), headers=headers) as answer:
                answer.raise_for_status()
                wamid = (await answer.json())["messages"][0]["id"]
            async with self._database.acquire() as connection, connection.transaction():
                await connection.execute(END_ATTEMPT, claimed, wamid)
                await connection.execute(END_MESSAGE, claimed, wamid)
        return {"client_message_id": message.client_message_id, "wamid": wamid}


def enriched(message: InboundMessage, mapping_id: str, conversation_id: str | None, is_new: bool) -> Event:
    """The event of a message that was tracked."""
    return message.model_dump(exclude_none=True) | {
        "mapping_id": mapping_id,
        "conversation_id": conversation_id,
        "is_new_conversation": is_new,
    }


def cloud_api(environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Where a message is sent, and with which headers."""
    token = environ["WHATSAPP_ACCESS_TOKEN"]
    return f"{environ['WHATSAPP_API_URL']}/v25.0/1001/messages", {"Authorization": f"Bearer {token}"}


def graph_body(message: OutboundMessage) -> Event:
    """What the Cloud API takes for a text."""
    return {
        "messaging_product": "whatsapp",
        "to": message.wa_id,
        "type": "text",
        "text": {"body": message.message_text},
    }
