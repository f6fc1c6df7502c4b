"""A PostgreSQL database of its own for each test, made from a migrated template, and gone with it.

Workers of tests sign in as operators' do: by a login of the role of `schema/roles.sql`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from schema.migrator import migrate
from tests.support.servers import Servers

ROLES: Final = Path(__file__).resolve().parents[2] / "schema" / "roles.sql"
#: The login of this session's workers, whose password is the same word.
WORKER: Final = f"wabus_test_{os.getpid()}"


def with_database(url: str, name: str) -> str:
    """`url` with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def with_login(url: str, name: str, password: str) -> str:
    """`url` with another login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc.rpartition('@')[2]}"))


@pytest.fixture(scope="session")
def migrated_template(servers: Servers) -> Iterator[str]:
    """The name of a database at the latest schema, to be copied, with its grants, and not connected to."""
    with worker_login(servers.database_url), new_database(servers.database_url) as url:
        asyncio.run(migrate(url))
        _execute_at(url, ROLES.read_text())
        _execute_at(url, f"grant wabus_worker to {WORKER}")
        yield urlsplit(url).path[1:]


@pytest.fixture(scope="session")
def administrator(servers: Servers) -> Iterator["Administrator"]:
    """Who makes and drops the databases of this session's tests."""
    with closing(Administrator(servers.database_url)) as administrator:
        yield administrator


@pytest.fixture
def empty_database(servers: Servers, administrator: "Administrator") -> Iterator[str]:
    """The URL of a database with nothing in it."""
    with new_database(servers.database_url, None, administrator) as url:
        yield url


@pytest.fixture
def database_url(servers: Servers, migrated_template: str, administrator: "Administrator") -> Iterator[str]:
    """The URL of a database at the latest schema, without rows."""
    with new_database(servers.database_url, migrated_template, administrator) as url:
        yield url


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection to the test's database."""
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


@contextmanager
def worker_login(server_url: str) -> Iterator[None]:
    """The login WORKER; it and a role that is nobody's are gone at the end."""
    _execute_at(server_url, f"create role {WORKER} login password '{WORKER}'")
    try:
        yield
    finally:
        _execute_at(server_url, f"drop role {WORKER}")
        with suppress(asyncpg.DependentObjectsStillExistError):
            _execute_at(server_url, "drop role if exists wabus_worker")


class Administrator:
    """One connection to a server, for whoever is in no event loop: to open one takes as long as its work."""

    def __init__(self, server_url: str) -> None:
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(server_url))

    def execute(self, sql: str) -> None:
        """Run one statement."""
        self._runner.run(self._connection.execute(sql))

    def close(self) -> None:
        """The connection is of no use afterwards."""
        self._runner.run(self._connection.close())
        self._runner.close()


@contextmanager
def new_database(
    server_url: str, template: str | None = None, administrator: Administrator | None = None
) -> Iterator[str]:
    """The URL of a new database on the server of `server_url`, dropped at the end whoever uses it still.

    Without an administrator of that server each of the two statements opens a connection. A template's files
    are copied, for what of it is logged is written twice.
    """
    name = f"test_{os.getpid()}_{uuid4().hex[:12]}"
    copied = f" template {template}" if template else ""
    execute = administrator.execute if administrator else partial(_execute_at, server_url)
    execute(f"create database {name}{copied} strategy file_copy")
    try:
        yield with_database(server_url, name)
    finally:
        execute(f"drop database {name} with (force)")


def _execute_at(url: str, sql: str) -> None:
    asyncio.run(_execute(url, sql))


async def _execute(server_url: str, sql: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
