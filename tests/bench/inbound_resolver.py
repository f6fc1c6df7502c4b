"""How fast one inbound-resolver is: `python -m tests.bench.inbound_resolver`.

First throughput: the queue is filled, then one worker drains it. Then latency: messages are offered at a
steady rate, and the time from their publish to their arrival at a consumer of `inbound.enriched` is taken.
Fails where a message was not published exactly once.
"""

import argparse
import asyncio
import random
import statistics
import time
from asyncio.subprocess import Process
from dataclasses import dataclass
from uuid import uuid4

import aio_pika
import orjson
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage

from shared.amqp.topology import ENRICHED, INBOUND
from tests.bench.ground import Ground, cpu_s, depth, ground, memory_mb, set_addresses, time_when, worker

_WINDOW = 300
#: Part of the queue that is drained before the clock starts: connecting, caches of plans.
_WARM_SHARE = 10


@dataclass(frozen=True, slots=True)
class Throughput:
    """Messages a second of one process, its CPU per message, its memory."""

    messages_per_s: float
    cpu_ms: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From publish to the consumer of `inbound.enriched`, in milliseconds, at a rate offered.

    `memory_mb`: the worker's, at the start, once a minute, and at the end.
    """

    offered_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    memory_mb: list[float]


def body(run: str, number: int, customers: int) -> tuple[str, bytes]:
    """(customer, body) of one message: 350 bytes, as a gateway would write it."""
    customer = str(491700000000 + random.randrange(customers))
    message = {
        "wamid": f"wamid.{run}{number:08}{'x' * 30}",
        "timestamp": str(int(time.time())),
        "wa_id": customer,
        "phone_number_id": "1001",
        "contact_name": "Ana",
        "message_text": "hello " * 10,
        "sent_at": time.time(),
    }
    return customer, orjson.dumps(message)


async def measure_throughput(place: Ground, messages: int, customers: int) -> Throughput:
    """Fill the queue, start one worker, take the time until all is published."""
    async with place.channel() as channel:
        await (await channel.get_queue(ENRICHED)).purge()
        await fill(channel, messages, customers)
        async with worker(place, "inbound-resolver") as process:
            warm = messages // _WARM_SHARE
            started = await time_when(lambda: _reached(channel, warm), 120)
            ahead, used = await depth(channel, ENRICHED), cpu_s(process)
            ended = await time_when(lambda: _reached(channel, messages), 300)
            used = cpu_s(process) - used
            memory = memory_mb(process.pid)
        assert await depth(channel, ENRICHED) == messages, "a message was published twice, or not at all"
        await (await channel.get_queue(ENRICHED)).purge()
    done = messages - ahead
    return Throughput(done / (ended - started), used / done * 1000, memory)


async def measure_latency(place: Ground, rate: float, seconds: float, customers: int) -> Latency:
    """Offer `rate` messages a second and take each one's time."""
    waits_ms: list[float] = []
    async with place.channel() as consuming, place.channel() as publishing:
        await consuming.set_qos(prefetch_count=1000)

        async def note(message: AbstractIncomingMessage) -> None:
            waits_ms.append((time.time() - orjson.loads(message.body)["sent_at"]) * 1000)

        await (await consuming.get_queue(ENRICHED)).consume(note, no_ack=True)
        async with worker(place, "inbound-resolver") as process:
            await offer(publishing, rate, 3, customers)
            waits_ms.clear()
            memory = [memory_mb(process.pid)]
            watching = asyncio.create_task(_watch(process, memory))
            offered = await offer(publishing, rate, seconds, customers)
            await time_when(lambda: _all(waits_ms, offered), 30)
            watching.cancel()
            memory.append(memory_mb(process.pid))
            cuts = statistics.quantiles(waits_ms, n=100)
            return Latency(rate, cuts[49], cuts[94], cuts[98], memory)


async def _watch(process: Process, memory: list[float]) -> None:
    while True:
        await asyncio.sleep(60)
        memory.append(memory_mb(process.pid))


async def fill(channel: AbstractChannel, messages: int, customers: int) -> None:
    """Publish so many messages to `wa.inbound`, confirmed."""
    target = await channel.get_exchange(INBOUND, ensure=False)
    run = uuid4().hex[:8]
    for start in range(0, messages, _WINDOW):
        numbers = range(start, min(start + _WINDOW, messages))
        await asyncio.gather(*(_publish(target, *body(run, number, customers)) for number in numbers))


async def offer(channel: AbstractChannel, rate: float, seconds: float, customers: int) -> int:
    """Publish in time, each message due at its own moment; returns how many."""
    target = await channel.get_exchange(INBOUND, ensure=False)
    run, started = uuid4().hex[:8], time.monotonic()
    count = int(rate * seconds)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            group.create_task(_publish(target, *body(run, number, customers)))
    return count


async def _publish(target: AbstractExchange, customer: str, content: bytes) -> None:
    await target.publish(aio_pika.Message(content, delivery_mode=2), routing_key=customer)


async def _reached(channel: AbstractChannel, count: int) -> bool:
    return await depth(channel, ENRICHED) >= count


async def _all(waits_ms: list[float], count: int) -> bool:
    return len(waits_ms) >= count


def main() -> None:
    """Measure both once, and once more beside addresses of others where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--customers", type=int, default=5_000)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--addresses", type=int, default=0, help="of others; measured without them first")
    arguments = parser.parse_args()
    for addresses in sorted({0, arguments.addresses}):
        _measure(arguments, addresses)


def _measure(arguments: argparse.Namespace, addresses: int) -> None:
    with ground() as place:
        if addresses:
            asyncio.run(set_addresses(place.database_url, addresses))
            print(f"with {addresses:,} addresses of others:", flush=True)
        through = asyncio.run(measure_throughput(place, arguments.messages, arguments.customers))
        print(
            f"{through.messages_per_s:,.0f} msg/s; CPU {through.cpu_ms:.2f} ms a message;"
            f" {through.memory_mb:.0f} MB resident",
            flush=True,
        )
        told = asyncio.run(measure_latency(place, arguments.rate, arguments.seconds, arguments.customers))
    print(
        f"at {told.offered_per_s:g} msg/s for {arguments.seconds:g} s: p50 {told.p50_ms:.0f}, p95"
        f" {told.p95_ms:.0f}, p99 {told.p99_ms:.0f} ms; MB resident at first, each minute and at the end:"
        f" {', '.join(f'{item:.0f}' for item in told.memory_mb)}"
    )


if __name__ == "__main__":
    main()
