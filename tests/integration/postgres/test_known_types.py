"""What a server has by itself is asked of it once, whatever connection comes next; what is ours each time."""

from uuid import UUID

from shared.postgres.database import Database

_ASKED = "select count(*) from pg_prepared_statements where statement like '%typeinfo' || '_tree%'"


async def _ask(url: str, statement: str, *arguments: object) -> tuple[object, int]:
    """What a new connection answers, and how often it had to ask about types for it."""
    database = Database(url, size=1)
    try:
        async with database.connection() as connection:
            return await connection.fetchval(statement, *arguments), await connection.fetchval(_ASKED)
    finally:
        await database.close()


async def test_a_type_of_every_server_is_asked_for_once(empty_database: str) -> None:
    ids = [UUID(int=1), UUID(int=2)]

    await _ask(empty_database, "select $1::uuid[]", ids)

    assert await _ask(empty_database, "select $1::uuid[]", ids) == (ids, 0)


async def test_a_type_of_one_database_is_asked_for_by_each_connection(empty_database: str) -> None:
    await _ask(empty_database, "create type mood as enum ('well', 'ill')")

    for _ in range(2):
        assert await _ask(empty_database, "select array['ill'::mood]") == (["ill"], 1)
