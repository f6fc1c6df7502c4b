"""A backlog and a slow Cloud API: `make overload`.

50,000 messages of the bulk lane wait; the Cloud API takes a fifth of what it took, and takes five times as
long. Meanwhile agents' replies come at a steady rate: the time from a reply's publish to its acceptance by
the sandbox is what an agent feels. Then the API is well again, and the backlog is worked off. Fails where a
message was not sent exactly once, or died.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg
import orjson
from aio_pika.abc import AbstractChannel

from shared.amqp.topology import DLQ_HANDLER, LANES
from tests.bench.ground import TOKEN, Ground, depth, ground, memory_mb, publish, sandbox, worker
from tests.support.sandbox import SandboxCaller
from tests.support.waiting import until

_NUMBER = "1001"
#: What the number may send a second, and what the API takes (its latency in milliseconds) well and slow.
_NUMBER_MPS = 1000
_WELL = {"number_mps": _NUMBER_MPS, "latency_ms": 20}
_SLOW = {"number_mps": _NUMBER_MPS // 5, "latency_ms": 100}
_WINDOW_S = 10
_DRAIN_S = 600


@dataclass
class Record:
    """What was offered, and what was seen on the way. Times are epoch seconds, memory MB of the sender."""

    replies: dict[str, float] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)
    healed_at: float = 0.0


def bulk(count: int) -> list[bytes]:
    """Bodies to as many customers."""
    return [
        orjson.dumps(
            {
                "client_message_id": f"bulk-{place}",
                "wa_id": str(491000000000 + place * 1000),
                "phone_number_id": _NUMBER,
                "message_text": "offer",
            }
        )
        for place in range(count)
    ]


async def offer_replies(channel: AbstractChannel, rate: float, record: Record, over: asyncio.Event) -> None:
    """Publish replies to a customer each, until it is over."""
    started = time.monotonic()
    while not over.is_set():
        number = len(record.replies)
        await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        customer = str(492000000000 + number * 1000)
        body = {
            "client_message_id": f"reply-{number}",
            "wa_id": customer,
            "phone_number_id": _NUMBER,
            "message_text": "hello",
        }
        record.replies[customer] = time.time()
        await publish(channel, "wa.outbound", f"reply.{customer}", [orjson.dumps(body)])


async def measure(place: Ground, backlog: int, slow_s: float, rate: float) -> None:
    """Play it once and print what it came to."""
    record, over = Record(), asyncio.Event()
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(place.channel())
        conn = await asyncpg.connect(place.database_url)
        stack.push_async_callback(conn.close)
        print(f"publishing a backlog of {backlog:,} …", flush=True)
        await publish(channel, "wa.outbound", "bulk.overload", bulk(backlog))
        url, _ = await stack.enter_async_context(sandbox(_SLOW["latency_ms"]))
        caller = await stack.enter_async_context(SandboxCaller.connected(url))
        await caller.change(**_SLOW, statuses=False)
        os.environ |= {
            "WHATSAPP_API_URL": url,
            "WHATSAPP_ACCESS_TOKEN": TOKEN,
            "WHATSAPP_NUMBER_MPS": str(_NUMBER_MPS),
        }
        sender = await stack.enter_async_context(worker(place, "outbound-sender"))
        await stack.enter_async_context(worker(place, "scheduler"))
        async with asyncio.TaskGroup() as group:
            group.create_task(offer_replies(channel, rate, record, over))
            watching = group.create_task(_watch(caller, channel, sender.pid, record))
            await asyncio.sleep(slow_s)
            await caller.change(**_WELL)
            record.healed_at = time.time()
            print("the Cloud API is well again", flush=True)
            await until(lambda: _is_worked_off(caller, conn, backlog), _DRAIN_S)
            over.set()
            watching.cancel()
        await until(lambda: _is_worked_off(caller, conn, backlog + len(record.replies)), _DRAIN_S)
        _report(record, backlog, await caller.messages())
        for queue in (*LANES, DLQ_HANDLER):
            assert await depth(channel, queue) == 0, f"something is left in {queue}"


async def _watch(caller: SandboxCaller, channel: AbstractChannel, pid: int, record: Record) -> None:
    while True:
        await asyncio.sleep(_WINDOW_S)
        record.memory_mb.append(memory_mb(pid))
        accepted = int((await caller.stats())["accepted"])
        waiting = await depth(channel, "outbound-sender.bulk")
        print(
            f"  accepted {accepted:,}, {waiting:,} wait, {record.memory_mb[-1]:.0f} MB resident", flush=True
        )


async def _is_worked_off(
    caller: SandboxCaller, conn: "asyncpg.Connection[asyncpg.Record]", count: int
) -> bool:
    await asyncio.sleep(0.5)  # asking costs the sandbox
    if int((await caller.stats())["accepted"]) < count:
        return False
    return not await conn.fetchval("select exists (select from deferred_messages)")


def _report(record: Record, backlog: int, accepted: Sequence[dict[str, str]]) -> None:
    at = {item["to"]: datetime.fromisoformat(item["time"]).timestamp() for item in accepted}
    assert len(at) == len(accepted) == backlog + len(record.replies), "a message was lost, or sent twice"
    bulk_at = sorted(moment for customer, moment in at.items() if customer not in record.replies)
    slow = [moment for moment in bulk_at if moment < record.healed_at]
    well = [moment for moment in bulk_at if moment >= record.healed_at]
    print(
        f"bulk: {len(slow) / (record.healed_at - bulk_at[0]):,.0f} a second from the slow API,"
        f" {len(well) / (well[-1] - record.healed_at):,.0f} a second afterwards; all {backlog:,} sent once"
    )
    waits = {sent: at[customer] - sent for customer, sent in record.replies.items()}
    first = min(waits)
    windows: dict[int, list[float]] = {}
    for sent, wait_s in waits.items():
        windows.setdefault(int((sent - first) // _WINDOW_S), []).append(wait_s)
    p95s = [_p95(window) for _, window in sorted(windows.items()) if len(window) > 1]
    told = [wait_s for sent, wait_s in waits.items() if sent < record.healed_at]
    after = [wait_s for sent, wait_s in waits.items() if sent >= record.healed_at]
    print(
        f"{len(waits):,} replies, each sent once; from publish to the Cloud API: p95"
        f" {_p95(told) * 1000:.0f} ms while it was slow, {_p95(after) * 1000:.0f} ms afterwards,"
        f" {max(p95s) * 1000:.0f} ms in the worst {_WINDOW_S} s (goal: 1,000 ms throughout)"
    )
    print(f"p95 of each {_WINDOW_S} s in ms: {', '.join(f'{p95 * 1000:.0f}' for p95 in p95s)}")
    print(
        f"memory of the sender: {record.memory_mb[0]:.0f} MB after {_WINDOW_S} s, at most"
        f" {max(record.memory_mb):.0f} MB, {record.memory_mb[-1]:.0f} MB at the end"
    )


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=50_000)
    parser.add_argument("--slow-s", type=float, default=120)
    parser.add_argument("--replies-per-s", type=float, default=5)
    arguments = parser.parse_args()
    with ground() as place:
        asyncio.run(measure(place, arguments.backlog, arguments.slow_s, arguments.replies_per_s))


if __name__ == "__main__":
    main()
