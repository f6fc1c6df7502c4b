"""Rows of several workers: a campaign from its launch to the last request, and all work at once."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

import asyncpg
import orjson
from aio_pika.abc import AbstractChannel

from shared.amqp.topology import (
    BROADCAST,
    BROADCAST_BATCHER,
    ENRICHED,
    OUTBOUND_BULK,
)
from tests.bench.columns import Column, gateway_posts
from tests.bench.draining import api, consume, cpu_of, drain, reach
from tests.bench.figures import Figure
from tests.bench.ground import Ground, clean, memory_mb, worker
from tests.bench.traffic import Post, fill
from tests.bench.work import QUEUES, WORKERS, Progress, Work, prepare
from tests.support.waiting import until

_RECIPIENTS: Final = 20_000
_PHONE: Final = 493000000000
_QUEUES: Final = (*QUEUES.values(), BROADCAST_BATCHER, OUTBOUND_BULK, ENRICHED)
#: Of all at once, so many of each.
_MIXED: Final = {Work.INBOUND: 6_000, Work.STATUSES: 6_000, Work.OUTBOUND: 1_500}
#: Counting statuses reads all of them.
_COUNT_EVERY_S: Final = 0.1
_LOOK_EVERY_S: Final = 0.05


async def measure_campaign(place: Ground, column: Column, share: float) -> Figure:
    """From the launch to the last recipient's request: batches without a delay, a number without a limit."""
    count = int(_RECIPIENTS * share)
    async with _opened(place) as (progress, settings):
        programs = ("broadcast-batcher", "outbound-sender", "scheduler")
        async with _running(place, programs, {**column.environ, **settings}) as processes:
            await _are_there(progress.channel, (BROADCAST_BATCHER, OUTBOUND_BULK))
            used = cpu_of(processes)
            began = asyncio.get_running_loop().time()
            await fill(place.rabbitmq_url, [_launch(count)])
            _, ended = await reach(
                processes, lambda least: progress.done(Work.OUTBOUND, least), count, _LOOK_EVERY_S
            )
            used = cpu_of(processes) - used
            memory = sum(memory_mb(process.pid) for process in processes)
        assert await progress.done(Work.OUTBOUND, count) == count, "a recipient was sent to twice"
    return Figure(count / (ended - began), used / count * 1000, memory)


def _launch(count: int) -> Post:
    campaign = {
        "campaign_id": "bench",
        "phone_number_id": "1001",
        "template": {"name": "welcome", "language": "en"},
        "batch_size": 5000,
        "batch_delay_ms": 0,
        "recipients": [{"wa_id": str(_PHONE + number * 1000)} for number in range(count)],
    }
    return Post(BROADCAST, "campaign.launch", orjson.dumps(campaign))


async def measure_mixed(place: Ground, column: Column, share: float) -> Figure:
    """Three workers, a full queue each, until all are empty: messages of all three."""
    counts = {work: int(count * share) for work, count in _MIXED.items()}
    async with _opened(place) as (progress, settings):
        for work, count in counts.items():
            await prepare(work, progress.conn, count)
            await fill(place.rabbitmq_url, gateway_posts(work, count))

        async def done(_: int) -> int:
            return sum([await progress.done(work, 0) for work in counts])

        async with _running(place, tuple(WORKERS.values()), {**column.environ, **settings}) as processes:
            return await drain(processes, done, sum(counts.values()), _COUNT_EVERY_S)


@asynccontextmanager
async def _opened(place: Ground) -> AsyncIterator[tuple[Progress, Mapping[str, str]]]:
    """Nothing in the servers, a sandbox, and what tells how far all is."""
    await clean(place, _QUEUES)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(place.channel())
        conn = await asyncpg.connect(place.database_url)
        stack.push_async_callback(conn.close)
        caller, settings = await stack.enter_async_context(api())
        yield Progress(channel, conn, caller), settings


@asynccontextmanager
async def _running(
    place: Ground, names: Sequence[str], environ: Mapping[str, str]
) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(worker(place, name, is_heard=False, **environ)) for name in names
        ]


async def _are_there(channel: AbstractChannel, queues: Sequence[str]) -> None:
    """Wait until each queue has a consumer."""
    for queue in queues:
        await until(partial(consume, channel, queue, 1))
