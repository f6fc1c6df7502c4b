"""How fast one status-updater drains its queue: `python -m tests.bench.status_updater --messages 10000`.

Three events a message (sent, delivered, read), each message's a few hundred others apart, as they come in.
Messages begin as the sender leaves them (`--begin sent`), or queued with a wamid (`--begin queued`).
"""

import argparse
import asyncio
import time

import asyncpg
import orjson
from aio_pika.abc import AbstractChannel

from tests.bench.ground import Ground, cpu_s, depth, ground, publish, time_when, worker

_MESSAGES = """
with mapping as (
    insert into conversation_mappings (wa_id, phone_number_id)
    select (491700000000 + n)::text, '1001' from generate_series(1, $1::int) as n returning id, wa_id
), message as (
    insert into message_tracking (mapping_id, direction, status, wamid, lane, sent_at)
    select id, 'OUTBOUND', $2, 'wamid.' || wa_id, 'reply', case $2 when 'sent' then now() end from mapping
    returning id, wamid
)
insert into send_attempts (message_id, attempt, outcome, wamid, finished_at)
select id, 1, 'sent', wamid, now() from message
"""
_SETTLED = "select count(*) from status_events where outcome is not null"
_APART = 400


def bodies(messages: int) -> list[bytes]:
    """Events in the order in which they come: a message's are `_APART` messages away from each other."""
    steps = ("sent", "delivered", "read")
    order = [
        (number - step * _APART, step)
        for number in range(1, messages + 1 + _APART * (len(steps) - 1))
        for step in range(len(steps))
        if 0 < number - step * _APART <= messages
    ]
    now = int(time.time())
    return [
        orjson.dumps(
            {
                "wamid": f"wamid.{491700000000 + number}",
                "status": steps[step],
                "timestamp": str(now - 10 + step),
                "recipient_id": str(491700000000 + number),
                "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility"},
            }
        )
        for number, step in order
    ]


async def measure(place: Ground, messages: int, begin: str) -> None:
    """Preload the queue, start one updater, print its rate."""
    conn = await asyncpg.connect(place.database_url)
    await conn.execute(_MESSAGES.replace("$1", str(messages)).replace("$2", f"'{begin}'"))
    events = bodies(messages)
    head = len(events) // 10
    async with place.channel() as channel:
        await publish(channel, "wa.status", "whatsapp", events)
        async with worker(place, "status-updater") as process:
            began = await time_when(lambda: _is_down_to(channel, len(events) - head), 60)
            used = cpu_s(process)
            await time_when(lambda: _is_down_to(channel, 0), 300)
            ended = await time_when(lambda: _is_settled(conn, len(events)), 60)
            used = cpu_s(process) - used
    left = len(events) - head
    print(f"{left / (ended - began):,.0f} events/s; CPU of the worker {used / left * 1e6:.0f} us an event")
    rows = await conn.fetch("select outcome, count(*) from status_events group by outcome")
    told = await conn.fetchval("select count(*) from outbox_events where published_at is not null")
    print(f"outcomes: { {row[0]: row[1] for row in rows} }; events told: {told}")
    await conn.close()


async def _is_down_to(channel: AbstractChannel, most: int) -> bool:
    return await depth(channel, "status-updater") <= most


async def _is_settled(conn: "asyncpg.Connection[asyncpg.Record]", events: int) -> bool:
    return bool(await conn.fetchval(_SETTLED) == events)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--begin", choices=("sent", "queued"), default="sent")
    arguments = parser.parse_args()
    with ground() as place:
        asyncio.run(measure(place, arguments.messages, arguments.begin))


if __name__ == "__main__":
    main()
