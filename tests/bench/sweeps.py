"""What the full run adds: sizes of a batch, lingers, replicas, ten million messages, ten minutes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import asyncpg

from tests.bench import draining, waiting_times
from tests.bench.columns import FRAMES
from tests.bench.draining import Way
from tests.bench.figures import Measured
from tests.bench.ground import Ground, clean
from tests.bench.work import Work

_BATCH_SIZES: Final = (10, 50, 150, 300, 600)
_LINGERS_MS: Final = (0, 2, 5, 20)
#: Messages a second at which lingers are told apart.
_LINGER_LOAD: Final = 1000
_REPLICAS: Final = (1, 2, 4)
_TRACKED: Final = 10_000_000
_CUSTOMERS: Final = 1_000_000
#: Customers whose messages are written in one transaction.
_AT_ONCE: Final = 50_000
_MEMORY_LOAD: Final = 1000
_MEMORY_MINUTES: Final = 10

#: Customers with their addresses and profiles, an active conversation each, and ten messages in it.
_FILL: Final = """
with known as (
    insert into customer_addresses (address, phone, kind, source)
    select (491700000000 + number)::text, (491700000000 + number)::text, 'phone', 'inbound'
    from generate_series($1::int, $2::int - 1) as number
    returning phone
), profiled as (
    insert into customer_profiles (phone, name, last_interaction_at) select phone, 'Ana', now() from known
), mapping as (
    insert into conversation_mappings (wa_id, customer, phone_number_id)
    select phone, phone, '1001' from known
    returning id, wa_id
)
insert into message_tracking (mapping_id, direction, status, wamid, message_type, sent_at, published_at)
select id, 'INBOUND', 'processed', 'wamid.' || wa_id || '.' || place, 'text', now(), now()
from mapping, generate_series(1, $3::int) as place
"""


async def sweep(
    place: Ground, measured: Measured, rounds: int, share: float, tell: Callable[[str], None]
) -> None:
    """All of them, one after the other; values of one thing in turn."""
    await _vary(
        place,
        measured,
        "messages in a batch",
        {str(size): Way(environ={"BATCH_SIZE": str(size)}) for size in _BATCH_SIZES},
        (rounds, share, tell),
    )
    replicas = {str(count): Way(replicas=count) for count in _REPLICAS}
    await _vary(place, measured, "replicas", replicas, (rounds, share, tell))
    for _ in range(rounds):
        for linger in _LINGERS_MS:
            column = replace(FRAMES, environ={**FRAMES.environ, "BATCH_LINGER_MS": str(linger)})
            (found,) = await waiting_times.measure(
                place, column, (_LINGER_LOAD,), waiting_times.LOAD_S * share
            )
            name = f"{FRAMES.name}, linger {linger} ms"
            measured.latency.setdefault(name, {}).setdefault(str(_LINGER_LOAD), []).append(found)
            tell(f"linger of {linger} ms")
    await _vary(place, measured, "messages tracked before", {"0": Way()}, (rounds, share, tell))
    tracked = int(_TRACKED * share)
    await clean(place, ())
    await _track(place.database_url, tracked, int(_CUSTOMERS * share), tell)
    for turn in range(rounds):
        way = Way(keeps_rows=True, first=turn * FRAMES.messages[Work.INBOUND])
        values = {f"{tracked:,}": way}
        await _vary(place, measured, "messages tracked before", values, (1, share, tell))
    await clean(place, ())
    measured.memory_mb = await waiting_times.watch_memory(
        place, FRAMES, _MEMORY_LOAD, max(1, round(_MEMORY_MINUTES * share))
    )


async def _vary(
    place: Ground,
    measured: Measured,
    varied: str,
    values: Mapping[str, Way],
    run: tuple[int, float, Callable[[str], None]],
) -> None:
    rounds, share, tell = run
    for _ in range(rounds):
        for value, way in values.items():
            figure = await draining.measure(place, FRAMES, Work.INBOUND, share, way)
            measured.sweeps.setdefault(varied, {}).setdefault(value, []).append(figure)
            tell(f"{varied}: {value}: {figure.per_s:,.0f}/s")


async def _track(database_url: str, messages: int, customers: int, tell: Callable[[str], None]) -> None:
    """Fill the tables, and let PostgreSQL know what is in them."""
    connection = await asyncpg.connect(database_url)
    try:
        for start in range(0, customers, _AT_ONCE):
            end = min(start + _AT_ONCE, customers)
            await connection.execute(_FILL, start, end, messages // customers)
            tell(f"{end * (messages // customers):,} messages are there")
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()
