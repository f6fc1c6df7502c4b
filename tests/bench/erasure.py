"""What an erasure costs others: `python -m tests.bench.erasure`.

One customer with a long history among many others. While `wabus profile erase` runs, two sessions lock rows
as a resolver does, again and again: the conversation of the person, and that of somebody else. The longest
wait of each stands beside the whole time.
"""

import argparse
import asyncio
import time
from dataclasses import dataclass

import asyncpg

from shared.messaging.customers.erasure import erase
from shared.postgres.database import Database
from shared.tables import TABLES
from tests.bench.ground import ground

_PERSON = "491700000001"
_OTHER = "491700000002"
_LOOK_S = 0.005

_FILL = """
with mapping as (
    insert into conversation_mappings (wa_id, phone_number_id)
    select case when $2 = 1 then $1 else (491800000000 + n)::text end, '1001' from generate_series(1, $2) as n
    returning id
), numbered as (
    select id, row_number() over () as place from mapping
), message as (
    insert into message_tracking (mapping_id, direction, status, lane, wamid)
    select numbered.id, 'OUTBOUND', 'read', 'reply', $1 || ':' || n
    from generate_series(1, $3) as n join numbered on numbered.place = 1 + n % $2
    returning id, wamid
), attempt as (
    insert into send_attempts (message_id, attempt, wamid, outcome) select id, 1, wamid, 'sent' from message
)
insert into status_events (message_id, wamid, status, occurred_at)
select id, wamid, status, now() from message, unnest(array['sent', 'delivered', 'read']) as status
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds: of the whole, and the longest wait of the person's and of another's conversation."""

    whole_s: float
    person_s: float
    other_s: float


async def measure(database_url: str, history: int, others: int, *, dry_run: bool) -> Cost:
    """Fill and erase."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(_FILL, _PERSON, 1, history)
    await connection.execute(_FILL, "others", max(1, others // 10), others)
    await connection.execute(_FILL, _OTHER, 1, 10)
    await connection.execute("vacuum analyze")
    await connection.close()
    database, done = Database(database_url), asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(_probe(database_url, who, done)) for who in (_PERSON, _OTHER)]
            began = time.monotonic()
            await erase(database, _PERSON, TABLES, by="bench", dry_run=dry_run)
            whole_s = time.monotonic() - began
            done.set()
    finally:
        await database.close()
    return Cost(whole_s, *(task.result() for task in waits))


async def _probe(database_url: str, wa_id: str, done: asyncio.Event) -> float:
    """The longest that it took to do what a message of this customer does to its conversation."""
    connection, longest_s = await asyncpg.connect(database_url), 0.0
    touch = "update conversation_mappings set last_activity_at = now() where wa_id = $1"
    while not done.is_set():
        began = time.monotonic()
        await connection.execute(touch, wa_id)
        longest_s = max(longest_s, time.monotonic() - began)
        await asyncio.sleep(_LOOK_S)
    await connection.close()
    return longest_s


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--history", type=int, default=100_000)
    parser.add_argument("--others", type=int, default=1_000_000)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    with ground() as place:
        cost = asyncio.run(measure(place.database_url, given.history, given.others, dry_run=given.dry_run))
    print(f"{'whole':>8} {'the person waits':>18} {'another waits':>15}")
    print(f"{cost.whole_s:>7.1f}s {cost.person_s:>17.2f}s {cost.other_s:>14.3f}s")


if __name__ == "__main__":
    main()
