"""How fast one outbound-sender sends, in its customers' order: `python -m tests.bench.outbound_sender`.

The queue is filled first, the customers in turn; then one sender and one sandbox, each a process of its own,
work beside the servers. Fails where a message was not sent exactly once, in its customer's order.
"""

import argparse
import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from tests.bench.ground import Ground, cpu_s, ground, memory_mb, publish, set_addresses, time_when, worker
from tests.support.sandbox import SandboxCaller

TOKEN = "bench"
_SENT = "select client_message_id, wamid from message_tracking where status = 'sent'"
_UNFINISHED = "select exists (select from outbox_events where published_at is null)"


def bodies(messages: int, customers: int) -> list[tuple[str, bytes]]:
    """(routing key, body), neighbours to different customers."""
    return [
        (
            f"reply.{customer}",
            orjson.dumps(
                {
                    "client_message_id": f"bench-{place:06}",
                    "wa_id": str(customer),
                    "phone_number_id": "1001",
                    "message_text": f"message {place}",
                }
            ),
        )
        for place in range(messages)
        for customer in (491700000000 + place % customers * 1000,)
    ]


@asynccontextmanager
async def sandbox(latency_ms: float) -> AsyncIterator[tuple[str, Process]]:
    """A sandbox process; gives its URL."""
    command = (sys.executable, "-m", "workers", "sandbox", "--token", TOKEN, "--latency-ms", str(latency_ms))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip(), process
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def measure(place: Ground, messages: int, customers: int, latency_ms: float) -> None:
    """Preload the queue, start one sender, print its rate, hold the order against what was asked."""
    conn = await asyncpg.connect(place.database_url)
    async with place.channel() as channel:
        for key, body in bodies(messages, customers):
            await publish(channel, "wa.outbound", key, [body])
    async with sandbox(latency_ms) as (url, api), SandboxCaller.connected(url) as caller:
        os.environ |= {
            "WHATSAPP_API_URL": url,
            "WHATSAPP_ACCESS_TOKEN": TOKEN,
            "WHATSAPP_NUMBER_MPS": "100000",
        }
        async with worker(place, "outbound-sender") as process:
            await time_when(lambda: _has_accepted(caller, messages), 300)
            used, asked = cpu_s(process), cpu_s(api)
            await time_when(lambda: _is_finished(conn), 30)
            resident_mb = memory_mb(process.pid)
        accepted = await caller.messages()
    rows = await conn.fetch(_SENT)
    await conn.close()
    _report(accepted, used, asked, resident_mb)
    _check({row["wamid"]: row["client_message_id"] for row in rows}, accepted, messages)


async def _has_accepted(caller: SandboxCaller, count: int) -> bool:
    await asyncio.sleep(0.2)  # asking costs the sandbox
    return int((await caller.stats())["accepted"]) >= count


async def _is_finished(conn: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return not await conn.fetchval(_UNFINISHED)


def _report(accepted: list[dict[str, Any]], used: float, asked: float, resident_mb: float) -> None:
    times = [datetime.fromisoformat(item["time"]).timestamp() for item in accepted]
    head = len(times) // 10
    seconds = times[-1] - times[head]
    print(
        f"{(len(times) - head) / seconds:,.0f} sends/s; CPU of the sender {used / len(times) * 1e3:.2f} ms a"
        f" message, of the sandbox {asked / len(times) * 1e3:.2f} ms; {resident_mb:.0f} MB resident"
    )


def _check(ids: dict[str, str], accepted: list[dict[str, Any]], messages: int) -> None:
    assert len(accepted) == len(ids) == messages, (len(accepted), len(ids))
    by_customer: dict[str, list[str]] = {}
    for item in accepted:
        by_customer.setdefault(item["to"], []).append(ids[item["wamid"]])
    broken = [customer for customer, sent in by_customer.items() if sent != sorted(set(sent))]
    assert not broken, f"out of order or twice: {broken[:5]}"
    print(f"each of {messages} messages sent once, in order for each of {len(by_customer)} customers")


def main() -> None:
    """Measure once, and once more beside addresses of others where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=6000)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--addresses", type=int, default=0, help="of others; measured without them first")
    arguments = parser.parse_args()
    for addresses in sorted({0, arguments.addresses}):
        with ground() as place:
            if addresses:
                asyncio.run(set_addresses(place.database_url, addresses))
                print(f"with {addresses:,} addresses of others:", flush=True)
            asyncio.run(measure(place, arguments.messages, arguments.customers, arguments.latency_ms))


if __name__ == "__main__":
    main()
