"""How soon a healthy resolver has the work of a sick one: `python -m tests.bench.sick_replica`.

Production's durations and prefetch. One resolver has all messages in its hands, and loses PostgreSQL; a
second one, which lacks nothing, joins. Timed from when that one consumes until all is published. Fails where
a message was lost or is dead.
"""

import argparse
import asyncio
from dataclasses import replace

import asyncpg
from aio_pika.abc import AbstractChannel

from shared.amqp.topology import DLQ_HANDLER, INBOUND_RESOLVER
from tests.bench.columns import gateway_posts
from tests.bench.draining import consume
from tests.bench.ground import Ground, depth, ground, time_when, worker
from tests.bench.traffic import fill
from tests.bench.work import Work
from tests.support.proxy import Proxy

_PATIENCE_S = 120.0
_PUBLISHED = "select count(*) from message_tracking where published_at is not null"


async def measure(place: Ground, messages: int) -> float:
    """Seconds until the healthy one has published all."""
    conn = await asyncpg.connect(place.database_url)
    try:
        async with place.channel() as channel, Proxy.before(place.database_url) as proxy:
            sick = replace(place, database_url=proxy.url(place.database_url))
            async with worker(sick, "inbound-resolver"):
                await time_when(lambda: consume(channel, INBOUND_RESOLVER, 1), _PATIENCE_S)
                async with conn.transaction():
                    await conn.execute("lock table message_tracking")
                    await fill(place.rabbitmq_url, gateway_posts(Work.INBOUND, messages))
                    await time_when(lambda: _has_all(channel), _PATIENCE_S)
                    proxy.refuse()
                async with worker(place, "inbound-resolver"):
                    joined = await time_when(lambda: consume(channel, INBOUND_RESOLVER, 2), _PATIENCE_S)
                    done = await time_when(lambda: _is_published(conn, messages), _PATIENCE_S)
                proxy.heal()
            assert await depth(channel, DLQ_HANDLER) == 0, "a message is dead"
    finally:
        await conn.close()
    return done - joined


async def _has_all(channel: AbstractChannel) -> bool:
    return await depth(channel, INBOUND_RESOLVER) == 0


async def _is_published(conn: "asyncpg.Connection[asyncpg.Record]", messages: int) -> bool:
    return bool(await conn.fetchval(_PUBLISHED) == messages)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=600, help="as many as a replica takes in hand")
    given = parser.parse_args()
    with ground() as place:
        seconds = asyncio.run(measure(place, given.messages))
    print(
        f"{given.messages} messages of the sick one: the healthy one has published all after {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
