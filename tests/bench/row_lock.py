"""What a locked row of one customer costs all others: `python -m tests.bench.row_lock`.

Production's durations, one resolver. A session keeps one conversation locked while its customer and many
others write; the time from a message's publish to its arrival at a consumer of `inbound.enriched` is what
the others feel, before the lock and beside it. Fails where a message was lost, or the customer's came out of
order.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from typing import Final

import asyncpg
import orjson

from shared.amqp.topology import ENRICHED, INBOUND
from tests.bench.columns import gateway_posts
from tests.bench.ground import Ground, ground, worker
from tests.bench.traffic import Arrivals, Post, connected, fill, wamid_of, write_frames
from tests.bench.waiting_times import offer_and_wait
from tests.bench.work import Work
from tests.support.waiting import until

_LOCKED = "491600000001"
#: The numbers of that customer's messages.
_OF_LOCKED: Final = range(90_000_000, 90_000_005)
_WARM_S = 3.0
_PATIENCE_S = 60.0


async def measure(place: Ground, rate: float, seconds: float) -> tuple[list[float], list[float]]:
    """Waits of the others in seconds: without the lock, and beside it."""
    arrivals = Arrivals()
    counts = [int(rate * _WARM_S), int(rate * seconds), int(rate * seconds)]
    frames = [write_frames(post) for post in gateway_posts(Work.INBOUND, sum(counts))]
    warm, without = counts[0], sum(counts[:2])
    conn = await asyncpg.connect(place.database_url)
    try:
        await conn.execute(
            "insert into conversation_mappings (wa_id, phone_number_id) values ($1, '1001')", _LOCKED
        )
        async with connected(place.rabbitmq_url) as consuming, connected(place.rabbitmq_url) as publishing:
            await arrivals.listen(consuming, ENRICHED)
            async with worker(place, "inbound-resolver"):
                await offer_and_wait(publishing, arrivals, frames[:warm], 0, rate)
                waits = await offer_and_wait(publishing, arrivals, frames[warm:without], warm, rate)
                async with conn.transaction():
                    await conn.execute(
                        "select from conversation_mappings where wa_id = $1 for update", _LOCKED
                    )
                    await fill(place.rabbitmq_url, [_of_locked(number) for number in _OF_LOCKED])
                    beside = await offer_and_wait(publishing, arrivals, frames[without:], without, rate)
                    assert not _came(arrivals), "the lock locked nobody"
                await until(lambda: len(_came(arrivals)) == len(_OF_LOCKED), _PATIENCE_S)
    finally:
        await conn.close()
    assert _came(arrivals) == list(_OF_LOCKED), "out of order"
    return waits, beside


def _of_locked(number: int) -> Post:
    body = {
        "wamid": wamid_of(number),
        "timestamp": str(int(time.time())),
        "wa_id": _LOCKED,
        "phone_number_id": "1001",
        "message_text": "hello",
    }
    return Post(INBOUND, _LOCKED, orjson.dumps(body))


def _came(arrivals: Arrivals) -> list[int]:
    """Those of the locked customer, in the order in which they came."""
    return [number for number in arrivals.times if number in _OF_LOCKED]


def _told(waits_s: Sequence[float]) -> str:
    p95 = statistics.quantiles(waits_s, n=20)[-1]
    figures = (statistics.median(waits_s), p95, max(waits_s))
    return "".join(f"{figure * 1000:>9,.0f} ms" for figure in figures)


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200, help="messages of others a second")
    parser.add_argument("--seconds", type=float, default=11, help="how long the row is locked")
    given = parser.parse_args()
    with ground() as place:
        without, beside = asyncio.run(measure(place, given.rate, given.seconds))
    print(f"{'others':18}{'p50':>12}{'p95':>12}{'longest':>12}")
    print(f"{'without':18}{_told(without)}")
    print(f"{'beside the lock':18}{_told(beside)}")


if __name__ == "__main__":
    main()
