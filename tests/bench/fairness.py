"""What one number's, or one customer's, trouble costs everybody else: `python -m tests.bench.fairness`.

Production's durations, one sender, one scheduler, a Cloud API that answers in 20 ms, numbers of 80 messages a
second. While number A has its trouble, agents reply from number B, each to another customer: the time from a
reply's publish to its acceptance is what they feel: p95 of all of them, and of those of the first ten seconds
alone. Beside it stand the writes to `deferred_messages` for each message of A. Fails where a reply was lost
or sent twice.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson
from aio_pika.abc import AbstractChannel

from shared.amqp.broker import Publisher
from shared.amqp.client import lend_publisher
from shared.amqp.delivery import Publication
from shared.durations import DURATIONS
from shared.payloads import OutboundMessage
from tests.bench.ground import TOKEN, Ground, ground, publish, sandbox, worker
from tests.support.sandbox import SandboxCaller

A, B = "1001", "2002"
_LATENCY_MS = 20
_SETTLE_S = 2.0
_DRAIN_S = 30
_FIRST_S = 10

_WRITES = """select n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables
             where relname = 'deferred_messages'"""

_FILL = """
with mapping as (
    insert into conversation_mappings (wa_id, phone_number_id)
    select wa_id, $1 from unnest($2::text[]) as given (wa_id)
    returning id, wa_id
), given as (
    select mapping.id as mapping_id, asked.*
    from unnest($2::text[], $3::bytea[], $4::bytea[]) as asked (wa_id, body, content_hash)
    join mapping on mapping.wa_id = asked.wa_id
), message as (
    insert into message_tracking
        (mapping_id, direction, status, lane, client_message_id, message_type, content_hash)
    select mapping_id, 'OUTBOUND', 'queued', 'reply', 'waits-' || wa_id, 'text', content_hash from given
    returning id, seq, mapping_id
), body as (
    insert into outbound_bodies (message_id, queue, exchange, routing_key, body, headers)
    select message.id, 'outbound-sender', 'wa.outbound', 'reply.x', given.body,
           '{"x-attempt": 1, "correlation_id": "trace", "idempotency_key": "key"}'
    from message join given on given.mapping_id = message.mapping_id
    returning message_id, queue, exchange, routing_key, body, headers
)
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, message_id, message_seq,
     phone_number_id, customer, lane)
select body.queue, body.exchange, body.routing_key, body.body, body.headers, 'number_paused',
       now() - interval '1 hour', message.id, message.seq, $1, mapping.wa_id, 'reply'
from body
join message on message.id = body.message_id
join mapping on mapping.id = message.mapping_id
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a trouble is played."""

    channel: AbstractChannel
    conn: "asyncpg.Connection[asyncpg.Record]"
    caller: SandboxCaller
    publisher: Publisher
    database_url: str
    scale: float

    def sized(self, count: int) -> int:
        """So many, or fewer in a short run."""
        return max(1, int(count * self.scale))

    async def pour(self, bodies: Sequence[bytes]) -> None:
        """Publish as fast as can be, so that the replies beside it do not wait for that."""
        outcomes = await self.publisher.publish(
            [
                Publication(
                    exchange="wa.outbound",
                    routing_key="reply.x",
                    body=body,
                    type="OutboundMessage",
                    idempotency_key=str(place),
                    correlation_id=str(place),
                )
                for place, body in enumerate(bodies)
            ]
        )
        assert not any(outcomes), "the burst was refused"


def reply(number: str, name: str, customer: int) -> bytes:
    """A reply's body."""
    return orjson.dumps(
        {
            "client_message_id": name,
            "wa_id": str(customer),
            "phone_number_id": number,
            "message_text": "hello",
        }
    )


async def fill(conn: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """Messages of number A that wait for it, as a pause of hours leaves them."""
    customers = [str(493000000000 + place * 1000) for place in range(count)]
    bodies = [reply(A, f"waits-{customer}", int(customer)) for customer in customers]
    hashes = [OutboundMessage.model_validate_json(body).content_hash() for body in bodies]
    await conn.execute(_FILL, A, customers, bodies, hashes, timeout=300)


async def quiet(scene: Scene) -> int:
    """Nothing: what a reply takes by itself."""
    return 0


async def burst(scene: Scene) -> int:
    """10,000 replies of number A, to a customer each, at once."""
    count = scene.sized(10_000)
    bodies = [reply(A, f"burst-{place}", 491000000000 + place * 1000) for place in range(count)]
    await scene.pour(bodies)
    return count


async def one_customer(scene: Scene) -> int:
    """4,000 replies of number B itself to one customer."""
    count = scene.sized(4_000)
    await scene.pour([reply(B, f"many-{place}", 495555555000) for place in range(count)])
    return count


async def one_by_one(scene: Scene) -> int:
    """800 replies of number B itself to another customer, 20 each second."""
    count = scene.sized(800)
    for place in range(count):
        await scene.pour([reply(B, f"single-{place}", 495555556000)])
        await asyncio.sleep(1 / 20)
    return count


async def locked_row(scene: Scene) -> int:
    """Another session keeps a customer of number B locked, who is sent a reply each second meanwhile."""
    customer, count = 495555557000, scene.sized(30)
    await scene.conn.execute(
        "insert into conversation_mappings (wa_id, phone_number_id) values ($1, $2)", str(customer), B
    )
    holder = await asyncpg.connect(scene.database_url)
    try:
        async with holder.transaction():
            await holder.execute(
                "select from conversation_mappings where wa_id = $1 for update", str(customer)
            )
            for place in range(count):
                await scene.pour([reply(B, f"locked-{place}", customer)])
                await asyncio.sleep(1.0)
    finally:
        await holder.close()
    return count


async def paused(scene: Scene) -> int:
    """60,000 replies behind number A, which is paused."""
    count = scene.sized(60_000)
    await scene.conn.execute(
        "insert into business_numbers (phone_number_id, state, reason) values ($1, 'paused', 'trouble')", A
    )
    await fill(scene.conn, count)
    await scene.conn.execute("analyze")
    return count


async def resumed(scene: Scene) -> int:
    """The same number is resumed: its 60,000 go at its rate."""
    await scene.conn.execute("update business_numbers set state = 'active' where phone_number_id = $1", A)
    return 0


async def refused(scene: Scene) -> int:
    """The bulk queue is full, and 1,000 bulk messages are due."""
    count = scene.sized(1_000)
    await scene.conn.execute(
        """insert into deferred_messages
               (queue, exchange, routing_key, body, headers, reason, not_before, phone_number_id, customer,
                lane)
           select 'nowhere.' || place % 3, '', 'x', '{}',
                  '{"x-attempt": 1, "correlation_id": "t", "idempotency_key": "k"}', 'rate_limit', now(), $2,
                  place::text, 'bulk'
           from generate_series(1, $1) as place""",
        count,
        A,
    )
    return count


#: Replies beside it are offered for as long as number A needs for its burst.
_LASTS_S = {"burst": 140.0}
Trouble = Callable[[Scene], Coroutine[None, None, int]]
#: In this order: what one leaves, the next has beside it.
TROUBLES: tuple[Trouble, ...] = (quiet, burst, one_customer, one_by_one, locked_row, refused, paused, resumed)


async def measure(
    place: Ground, troubles: Sequence[Trouble], seconds: float, rate: float, scale: float
) -> list[tuple[str, float, float]]:
    """Play all; gives p50 and p95 of the replies in seconds for each trouble."""
    figures = []
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(place.channel())
        conn = await asyncpg.connect(place.database_url)
        stack.push_async_callback(conn.close)
        url, _ = await stack.enter_async_context(sandbox(_LATENCY_MS))
        caller = await stack.enter_async_context(SandboxCaller.connected(url))
        os.environ |= {"WHATSAPP_API_URL": url, "WHATSAPP_ACCESS_TOKEN": TOKEN}
        await stack.enter_async_context(worker(place, "outbound-sender"))
        await stack.enter_async_context(worker(place, "scheduler"))
        publisher = await stack.enter_async_context(lend_publisher(place.rabbitmq_url, "bench", DURATIONS))
        scene = Scene(channel, conn, caller, publisher, place.database_url, scale)
        print(
            f"{'trouble':14} {'replies':>8} {'p50':>9} {'p95':>9} {'longest':>9} {'first 10 s':>10}"
            "  writes for each of A"
        )
        for number, trouble in enumerate(troubles):
            await asyncio.sleep(_SETTLE_S)
            before = await writes(conn)
            began = asyncio.create_task(trouble(scene))
            lasts_s = max(seconds, scale * _LASTS_S.get(trouble.__name__, 0.0))
            waits = await offer(scene, number, lasts_s, rate)
            count = await began
            wrote = (await writes(conn) - before) / count if count else 0.0
            p50, p95 = statistics.median(waits), _p95(waits)
            first = _p95(waits[: int(_FIRST_S * rate)])
            print(
                f"{trouble.__name__:14} {len(waits):>8,} {p50 * 1000:>6,.0f} ms {p95 * 1000:>6,.0f} ms"
                f" {max(waits) * 1000:>6,.0f} ms {first * 1000:>7,.0f} ms  {wrote:.1f}",
                flush=True,
            )
            figures.append((trouble.__name__, p50, p95))
    return figures


def _p95(waits: Sequence[float]) -> float:
    return statistics.quantiles(waits, n=20)[-1]


async def offer(scene: Scene, number: int, seconds: float, rate: float) -> Sequence[float]:
    """Publish replies of number B at a steady rate; gives what each waited, in seconds."""
    published: dict[str, float] = {}
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        customer = 492000000000 + (number * 100_000 + len(published)) * 1000
        await asyncio.sleep(max(0.0, started + len(published) / rate - time.monotonic()))
        published[str(customer)] = time.time()
        body = reply(B, f"reply-{customer}", customer)
        await publish(scene.channel, "wa.outbound", f"reply.{customer}", [body])
    deadline = time.monotonic() + _DRAIN_S + seconds
    while True:
        accepted = [item for item in await scene.caller.messages() if item["to"] in published]
        if len(accepted) >= len(published):
            break
        assert time.monotonic() < deadline, f"{len(published) - len(accepted)} replies did not leave"
        await asyncio.sleep(0.5)
    at = {item["to"]: datetime.fromisoformat(item["time"]).timestamp() for item in accepted}
    assert len(at) == len(accepted) == len(published), "a reply was sent twice"
    return [at[customer] - sent for customer, sent in published.items()]


async def writes(conn: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Row writes to `deferred_messages` so far."""
    await conn.execute("select pg_stat_force_next_flush()")
    count: int = await conn.fetchval(_WRITES)
    return count


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="of replies beside each trouble")
    parser.add_argument("--replies-per-s", type=float, default=5)
    parser.add_argument("--only", help="one trouble", choices=[item.__name__ for item in TROUBLES])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the sizes named above")
    arguments = parser.parse_args()
    with ground() as place:
        played = [item for item in TROUBLES if arguments.only in (None, item.__name__)]
        asyncio.run(measure(place, played, arguments.seconds, arguments.replies_per_s, arguments.scale))


if __name__ == "__main__":
    main()
