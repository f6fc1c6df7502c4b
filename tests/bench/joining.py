"""What it costs that a customer may have several addresses: `python -m tests.bench.joining`.

First joins, beside the addresses of a million others: two customers with a long history turn out to be one.
The time of each join is taken, and meanwhile what others wait who do what a message of theirs does to their
conversation. Then the resolver's rate with those addresses beside its customers', and without, in turn.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import asyncpg

from shared.messaging.customers.evidence import AddressEvidence
from shared.messaging.customers.identities import follow
from shared.postgres.database import Database
from tests.bench.columns import FRAMES
from tests.bench.draining import Way, measure
from tests.bench.ground import Ground, clean, ground, set_addresses
from tests.bench.work import Work

_OTHER: Final = "491800000001"
_LOOK_S: Final = 0.002
#: Pairs of a phone and an id, each with a conversation of `$2` messages; nobody knows that they are one.
_FILL: Final = """
with mapping as (
    insert into conversation_mappings (wa_id, customer, phone_number_id, conversation_id, last_activity_at)
    select address, address, '1001', 'of ' || address, now()
    from (
        select case when side = 0 then (491700000000 + pair)::text else 'DE.x' || pair end as address
        from generate_series(1, $1::int) as pair, generate_series(0, 1) as side
        union all
        select (491800000000 + n)::text from generate_series(1, $3::int) as n
    ) as given
    returning id, wa_id
)
insert into message_tracking (mapping_id, direction, status, wamid, published_at)
select id, 'INBOUND', 'processed', wa_id || ':' || n, now()
from mapping, generate_series(1, case when wa_id like '4918%' then 1 else $2::int end) as n
"""
_TOUCH: Final = "update conversation_mappings set last_activity_at = now() where wa_id = $1"


@dataclass(frozen=True, slots=True)
class Joins:
    """Milliseconds: each join, and the longest wait of somebody else meanwhile."""

    each_ms: Sequence[float]
    other_ms: float


async def measure_joins(database_url: str, pairs: int, history: int, others: int) -> Joins:
    """Fill, and join one pair after the other."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_FILL, pairs, history, others)
    await connection.execute("vacuum analyze")
    database, done = Database(database_url), asyncio.Event()
    each_ms = []
    try:
        async with asyncio.TaskGroup() as group:
            waits = group.create_task(_probe(database_url, done))
            for pair in range(1, pairs + 1):
                phone, user_id = str(491700000000 + pair), f"DE.x{pair}"
                told = AddressEvidence(phone, user_id, "inbound", datetime.now(UTC), "bench")
                began = time.monotonic()
                async with database.transaction() as transaction:
                    await follow(transaction, told, user_id)
                each_ms.append((time.monotonic() - began) * 1000)
            done.set()
        active = "select count(*) from conversation_mappings where status = 'active' and wa_id !~ '^4918'"
        assert await connection.fetchval(active) == pairs, "some were not joined"
    finally:
        await connection.close()
        await database.close()
    return Joins(each_ms, waits.result())


async def _probe(database_url: str, done: asyncio.Event) -> float:
    """The longest that it took to do what a message of somebody else does to their conversation."""
    connection, longest_s = await asyncpg.connect(database_url), 0.0
    while not done.is_set():
        began = time.monotonic()
        await connection.execute(_TOUCH, _OTHER)
        longest_s = max(longest_s, time.monotonic() - began)
        await asyncio.sleep(_LOOK_S)
    await connection.close()
    return longest_s * 1000


async def measure_rates(
    place: Ground, rounds: int, share: float, addresses: int
) -> tuple[list[float], list[float]]:
    """Messages a second with few addresses and with many, in turn; every other round begins with the many."""
    few: list[float] = []
    many: list[float] = []
    for turn in range(rounds):
        for has_many in (False, True) if turn % 2 == 0 else (True, False):
            await clean(place, ())
            await set_addresses(place.database_url, addresses if has_many else 0)
            figure = await measure(place, FRAMES, Work.INBOUND, share, Way(keeps_rows=True))
            (many if has_many else few).append(figure.per_s)
    return few, many


def main() -> None:
    """Measure both once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--history", type=int, default=1_000, help="messages of each of the two")
    parser.add_argument("--others", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=1.0, help="of the comparison's messages")
    parser.add_argument("--addresses", type=int, default=1_000_000)
    given = parser.parse_args()
    with ground() as place:
        asyncio.run(set_addresses(place.database_url, given.addresses))
        joins = asyncio.run(measure_joins(place.database_url, given.pairs, given.history, given.others))
    print(
        f"{given.pairs} joins of 2 x {given.history:,} messages: median"
        f" {statistics.median(joins.each_ms):.0f} ms, longest {max(joins.each_ms):.0f} ms;"
        f" somebody else waited {joins.other_ms:.0f} ms at most",
        flush=True,
    )
    with ground() as place:
        few, many = asyncio.run(measure_rates(place, given.rounds, given.share, given.addresses))
    share = statistics.median(many) / statistics.median(few)
    print(
        f"{_list(few)} msg/s with few addresses, {_list(many)} with {given.addresses:,} more:"
        f" {share:.2f} of the rate"
    )


def _list(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


if __name__ == "__main__":
    main()
