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

import asyncpg
import orjson
from aio_pika.abc import AbstractIncomingMessage

from shared.amqp.topology import ENRICHED
from tests.bench.ground import Ground, ground, publish, time_when, worker
from tests.bench.inbound_resolver import offer

_LOCKED = "491600000001"
_OF_LOCKED = 5
_WARM_S = 3.0
_PATIENCE_S = 60.0


class Arrivals:
    """What came at the consumer: seconds that others' messages took, and the order of the locked one's."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self.of_locked: list[str] = []

    async def note(self, message: AbstractIncomingMessage) -> None:
        """One message of `inbound.enriched`."""
        told = orjson.loads(message.body)
        if told["wa_id"] == _LOCKED:
            self.of_locked.append(told["wamid"])
        else:
            self.waits_s.append(time.time() - told["sent_at"])


async def measure(place: Ground, rate: float, seconds: float) -> tuple[list[float], list[float]]:
    """Waits of the others in seconds: without the lock, and beside it."""
    arrivals = Arrivals()
    conn = await asyncpg.connect(place.database_url)
    try:
        await conn.execute(
            "insert into conversation_mappings (wa_id, phone_number_id) values ($1, '1001')", _LOCKED
        )
        async with place.channel() as consuming, place.channel() as publishing:
            await (await consuming.get_queue(ENRICHED)).consume(arrivals.note, no_ack=True)
            async with worker(place, "inbound-resolver"):
                await offer(publishing, rate, _WARM_S, 1000)
                without = await _waits(arrivals, await offer(publishing, rate, seconds, 1000), _WARM_S * rate)
                async with conn.transaction():
                    await conn.execute(
                        "select from conversation_mappings where wa_id = $1 for update", _LOCKED
                    )
                    await publish(
                        publishing, "wa.inbound", _LOCKED, [_of_locked(n) for n in range(_OF_LOCKED)]
                    )
                    beside = await _waits(arrivals, await offer(publishing, rate, seconds, 1000), 0)
                    assert not arrivals.of_locked, "the lock locked nobody"
                await time_when(lambda: _has_locked(arrivals), _PATIENCE_S)
    finally:
        await conn.close()
    assert arrivals.of_locked == sorted(arrivals.of_locked), "out of order"
    return without, beside


def _of_locked(number: int) -> bytes:
    return orjson.dumps(
        {
            "wamid": f"wamid.locked.{number}",
            "timestamp": str(int(time.time())),
            "wa_id": _LOCKED,
            "phone_number_id": "1001",
            "message_text": "hello",
        }
    )


async def _waits(arrivals: Arrivals, offered: int, before: float) -> list[float]:
    """All that were offered, once they came; the first ones, of the warming up, left out."""
    await time_when(lambda: _has_come(arrivals, offered + int(before)), _PATIENCE_S)
    waits, arrivals.waits_s = arrivals.waits_s[int(before) :], []
    return waits


async def _has_come(arrivals: Arrivals, count: int) -> bool:
    return len(arrivals.waits_s) >= count


async def _has_locked(arrivals: Arrivals) -> bool:
    return len(arrivals.of_locked) == _OF_LOCKED


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
