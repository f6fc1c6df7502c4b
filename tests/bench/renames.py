"""How long rows of before take that another notation names: `python -m tests.bench.renames --rows 1000000`.

Conversations of Mexicans as people dial them, of whom nobody stands under WhatsApp's own notation. The
scheduler's job reads them, run after run, beside a probe: what a message of one of them waits meanwhile for
their own conversation.
"""

import argparse
import asyncio
import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import asyncpg

from shared.amqp.client import lend_publisher
from shared.coordination.client import RedisClient
from shared.durable.outbox import Outbox
from shared.durations import Durations
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.before import RowsOfBefore
from shared.observability.metrics import Metrics
from shared.postgres.database import Database
from tests.bench.ground import Ground, ground
from tests.support.before import write_as_before
from workers.scheduler.before import BeforeJob

_LOOK_S: Final = 0.005
_FILL: Final = """
insert into conversation_mappings (wa_id, phone_number_id, conversation_id, first_message_id)
select '52' || 5500000000 + n, (1001 + n % 10)::text, 'conversation ' || n, 'wamid.' || n
from generate_series(1, $1::int) as n
"""
_PROFILES: Final = """
insert into customer_profiles (phone, name)
select '52' || 5500000000 + n, 'Ana' from generate_series(1, $1::int) as n
"""
_TOUCH: Final = """
update conversation_mappings set last_activity_at = now()
where phone_number_id = $1 and wa_id = $2 and status = 'active'
"""
_LEFT: Final = "select count(*) from conversation_mappings where customer is null"


@dataclass(frozen=True, slots=True)
class Renaming:
    """Seconds in all, and milliseconds of the longest wait of a message for a conversation."""

    total_s: float
    longest_ms: float


async def measure(place: Ground, rows: int) -> Renaming:
    """Fill, and read all to the end. Fails where a row is left."""
    connection = await asyncpg.connect(place.database_url)
    await write_as_before(connection, _FILL, rows)
    await connection.execute(_PROFILES, rows)
    await connection.execute("vacuum analyze")
    done = asyncio.Event()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        stack.push_async_callback(connection.close)
        job = await _job(place, stack)
        waits = group.create_task(_probe(place.database_url, rows, done))
        began = time.monotonic()
        while await job.run():
            pass
        total_s = time.monotonic() - began
        done.set()
        assert await connection.fetchval(_LEFT) == 0, "rows are left"
    return Renaming(total_s, waits.result())


async def _job(place: Ground, stack: AsyncExitStack) -> BeforeJob:
    durations = Durations()
    database = Database(place.database_url, size=2)
    stack.push_async_callback(database.close)
    redis = RedisClient(place.redis_url, durations)
    stack.push_async_callback(redis.close)
    publisher = await stack.enter_async_context(lend_publisher(place.rabbitmq_url, "bench", durations))
    metrics = Metrics()
    cache = MappingCache(redis, observe=metrics.count_cache)
    return BeforeJob(database, RowsOfBefore(database, Outbox(database, publisher, durations), cache, metrics))


async def _probe(database_url: str, rows: int, done: asyncio.Event) -> float:
    connection, longest_s = await asyncpg.connect(database_url), 0.0
    while not done.is_set():
        n = random.randint(1, rows)
        began = time.monotonic()
        await connection.execute(_TOUCH, str(1001 + n % 10), f"52{5500000000 + n}")
        longest_s = max(longest_s, time.monotonic() - began)
        await asyncio.sleep(_LOOK_S)
    await connection.close()
    return longest_s * 1000


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    given = parser.parse_args()
    with ground() as place:
        renaming = asyncio.run(measure(place, given.rows))
    print(
        f"{given.rows:,} conversations and profiles renamed in {renaming.total_s:.1f} s:"
        f" {given.rows / renaming.total_s:,.0f} a second;"
        f" a message waited {renaming.longest_ms:.0f} ms at most"
    )


if __name__ == "__main__":
    main()
