"""One worker drains a queue that was filled before: how fast, with how much CPU and memory."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import orjson
from aio_pika.abc import AbstractChannel

from shared.amqp.topology import DLQ_HANDLER, ENRICHED
from tests.bench.columns import POSTGRES, Column
from tests.bench.figures import Figure
from tests.bench.ground import TOKEN, Ground, clean, cpu_s, memory_mb, program, sandbox
from tests.bench.rivals.envelopes import (
    CELERY_ARGUMENTS,
    CELERY_QUEUES,
    DRAMATIQ_QUEUES,
    dramatiq_arguments,
)
from tests.bench.traffic import fill
from tests.bench.work import QUEUES, Progress, Work, payloads, prepare
from tests.support.sandbox import SandboxCaller
from tests.support.waiting import until

#: Part of the queue that is drained before the clock starts: connecting, caches of plans.
_WARM_SHARE: Final = 10
_PATIENCE_S: Final = 300
_LOOK_EVERY_S: Final = 0.01
API_LATENCY_MS: Final = 20


async def declare_queues(place: Ground) -> None:
    """The frameworks' queues, as they would declare them: they are filled before a framework is there."""
    async with place.channel() as channel:
        for queue in CELERY_QUEUES.values():
            await channel.declare_queue(queue, durable=True, arguments=dict(CELERY_ARGUMENTS))
        for queue in DRAMATIQ_QUEUES.values():
            await channel.declare_queue(queue, durable=True, arguments=dict(dramatiq_arguments(queue)))


@dataclass(frozen=True, slots=True)
class Way:
    """What of it differs. `environ`: settings of the program.

    `replicas`: how many of it, for as many times the messages; the clock starts when all of them consume.
    `keeps_rows`: the tables stay as they are; then `first` is the number of the first message, which is new.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    replicas: int = 1
    keeps_rows: bool = False
    first: int = 0


async def measure(place: Ground, column: Column, work: Work, share: float, way: Way = Way()) -> Figure:
    """Fill, start, and take the time of all but the first tenth. `share`: of the column's messages."""
    count = int(column.messages[work] * share) * way.replicas
    await clean(place, (*column.queues, ENRICHED, DLQ_HANDLER), keeps_rows=way.keeps_rows)
    if column is POSTGRES:
        return await _measure_itself(place, column, work, count)
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(place.channel())
        conn = await asyncpg.connect(place.database_url)
        stack.push_async_callback(conn.close)
        settings = {**column.environ, **way.environ}
        caller = None
        if work is Work.OUTBOUND:
            caller, cloud_api = await stack.enter_async_context(api())
            settings |= cloud_api
        await prepare(work, conn, count)
        await fill(
            place.rabbitmq_url, [column.write(work, *told) for told in payloads(work, count, way.first)]
        )
        progress = Progress(channel, conn, caller)
        async with AsyncExitStack() as running:
            processes = [
                await running.enter_async_context(
                    program(place, column.command(work), settings, is_heard=False)
                )
                for _ in range(way.replicas)
            ]
            if way.replicas > 1:
                await until(lambda: consume(channel, QUEUES[work], way.replicas))
            figure = await drain(processes, lambda least: progress.done(work, least), count)
        assert await progress.done(work, count) == count, f"{column.label}: something was done twice"
    return figure


async def consume(channel: AbstractChannel, queue: str, count: int) -> bool:
    """Whether a queue has so many consumers."""
    declared = await channel.declare_queue(queue, passive=True)
    return (declared.declaration_result.consumer_count or 0) >= count


@asynccontextmanager
async def api() -> AsyncIterator[tuple[SandboxCaller, dict[str, str]]]:
    """A sandbox that answers in 20 ms, and the settings with which a sender finds it and may use it."""
    async with sandbox(API_LATENCY_MS) as (url, _), SandboxCaller.connected(url) as caller:
        yield (
            caller,
            {
                "WHATSAPP_API_URL": url,
                "WHATSAPP_ACCESS_TOKEN": TOKEN,
                "WHATSAPP_NUMBER_MPS": "100000",
            },
        )


async def drain(
    processes: Sequence[Process],
    done: Callable[[int], Awaitable[int]],
    count: int,
    every_s: float = _LOOK_EVERY_S,
) -> Figure:
    """Of all but the first tenth. `done`: see `Progress.done`; asked so often."""
    ahead, began = await reach(processes, done, count // _WARM_SHARE, every_s)
    used = cpu_of(processes)
    _, ended = await reach(processes, done, count, every_s)
    used, left = cpu_of(processes) - used, count - ahead
    memory = sum(memory_mb(process.pid) for process in processes)
    return Figure(left / (ended - began), used / left * 1000, memory)


def cpu_of(processes: Sequence[Process]) -> float:
    """CPU seconds of all of them so far."""
    return sum(cpu_s(process.pid) for process in processes)


async def reach(
    processes: Sequence[Process],
    done: Callable[[int], Awaitable[int]],
    least: int,
    every_s: float = _LOOK_EVERY_S,
) -> tuple[int, float]:
    """How many were done when it was first seen that `least` are, and the monotonic time."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            asked_at = time.monotonic()
            seen = await done(least)
            if seen >= least:
                return seen, asked_at
            ended = [process.returncode for process in processes if process.returncode is not None]
            assert not ended, f"a program ended with {ended[0]}"
            await asyncio.sleep(every_s)


async def _measure_itself(place: Ground, column: Column, work: Work, count: int) -> Figure:
    """By a program that knows how much it does, and when."""
    command = (sys.executable, *column.command(work), str(count))
    process = await asyncio.create_subprocess_exec(*command, env=place.environ, stdout=PIPE)
    told, _ = await process.communicate()
    assert process.returncode == 0, f"{column.label} ended with {process.returncode}"
    return Figure(**orjson.loads(told))
