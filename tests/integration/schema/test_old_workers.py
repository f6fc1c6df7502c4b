"""Workers of before migration 002 beside new ones: both open conversations of a person in two notations."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.support.databases import new_database
from tests.support.rows import Connection
from tests.support.servers import Servers
from tests.support.waiting import until

NUMBER = "1001"
#: WhatsApp's own notation, and the other one: the one sorts before the other, or after it.
BELO_HORIZONTE = ("553187654321", "5531987654321")
SAO_PAULO = ("5511987654321", "551187654321")
#: As an old worker's statement has it.
OLD = """
insert into conversation_mappings as mapping (phone_number_id, wa_id)
select $1, address from unnest($2::text[]) as row (address) order by address
on conflict (phone_number_id, wa_id) where status = 'active' do update set last_activity_at = now()
returning id
"""
#: As a new worker's statement has it.
NEW = """
insert into conversation_mappings as mapping (phone_number_id, wa_id, customer) values ($1, $2, $3)
on conflict (phone_number_id, (coalesce(customer, wa_id))) where status = 'active' do update
set wa_id = excluded.wa_id, customer = excluded.customer
"""
HELD = "select wa_id from conversation_mappings where status = 'active'"
#: What each goes by: the person's own name, of the other its address until the scheduler joins both.
KEYS = """
select array_agg(coalesce(customer, wa_id)::text order by coalesce(customer, wa_id))
from conversation_mappings where status = 'active'
"""


@pytest.mark.parametrize("notations", [BELO_HORIZONTE, SAO_PAULO])
@pytest.mark.parametrize("which", [0, 1])
async def test_an_old_worker_opens_one_under_either_notation_where_a_new_one_has_theirs(
    conn: Connection, notations: tuple[str, str], which: int
) -> None:
    phone, address = notations[0], notations[which]
    await conn.execute(NEW, NUMBER, notations[1 - which], phone)

    opened = [await conn.fetch(OLD, NUMBER, [address]) for _ in range(2)]

    assert opened[0] == opened[1]
    assert {row["wa_id"] for row in await conn.fetch(HELD)} == set(notations)
    assert await conn.fetchval(KEYS) == sorted(notations)


@pytest.mark.parametrize("notations", [BELO_HORIZONTE, SAO_PAULO])
async def test_an_old_worker_opens_both_at_once(conn: Connection, notations: tuple[str, str]) -> None:
    opened = await conn.fetch(OLD, NUMBER, list(notations))

    assert len(opened) == 2
    assert await conn.fetchval(KEYS) == sorted(notations)


@pytest.fixture
def own_database(servers: Servers, migrated_template: str) -> Iterator[str]:
    with new_database(servers.database_url, template=migrated_template) as url:
        yield url


@pytest.fixture
async def two(own_database: str) -> AsyncIterator[tuple[Connection, Connection]]:
    """Two connections to a database of their own."""
    one, other = await asyncpg.connect(own_database), await asyncpg.connect(own_database)
    try:
        yield one, other
    finally:
        await one.close()
        await other.close()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("beside", ["old", "new"])
async def test_an_old_worker_waits_for_whoever_opens_theirs_at_the_same_time(
    two: tuple[Connection, Connection], which: int, beside: str
) -> None:
    one, other = two
    phone = BELO_HORIZONTE[0]
    transaction = one.transaction()
    await transaction.start()
    if beside == "old":
        await one.execute(OLD, NUMBER, [BELO_HORIZONTE[1 - which]])
    else:
        await one.execute(NEW, NUMBER, BELO_HORIZONTE[1 - which], phone)
    opening = asyncio.create_task(other.fetch(OLD, NUMBER, [BELO_HORIZONTE[which]]))
    await until(lambda: is_waiting(one, other))
    await transaction.commit()

    assert len(await opening) == 1
    assert {row["wa_id"] for row in await one.fetch(HELD)} == set(BELO_HORIZONTE)


async def is_waiting(one: Connection, other: Connection) -> bool:
    blockers = await one.fetchval("select pg_blocking_pids($1)", other.get_server_pid())
    return bool(blockers == [one.get_server_pid()])
