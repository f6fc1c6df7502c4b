"""One database for all tests of the schema; each works in a transaction that is rolled back."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.support.databases import new_database
from tests.support.rows import Connection
from tests.support.servers import Servers


@pytest.fixture(scope="package")
def shared_database(servers: Servers, migrated_template: str) -> Iterator[str]:
    with new_database(servers.database_url, template=migrated_template) as url:
        yield url


@pytest.fixture
async def conn(shared_database: str) -> AsyncIterator[Connection]:
    """A connection inside a transaction that is rolled back."""
    connection = await asyncpg.connect(shared_database)
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()
