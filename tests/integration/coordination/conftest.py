"""Redis for the tests of `shared.coordination`: one shared, flushed before each test, and private ones."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.coordination.client import RedisClient
from shared.durations import DURATIONS, Durations
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def steady_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that no test disturbs."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, to do anything to."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def durations() -> Durations:
    """As in production, but a lost Redis is looked for more often and calls have time on a busy machine."""
    return replace(DURATIONS, redis_probe_s=0.05, redis_call_s=2.0)


@pytest.fixture
async def client(steady_server: RedisServer, durations: Durations) -> AsyncIterator[RedisClient]:
    client = RedisClient(steady_server.url, replace(durations, redis_call_s=30.0))
    await client.command("FLUSHALL")
    yield client
    await client.close()


@pytest.fixture
async def own_client(own_server: RedisServer, durations: Durations) -> AsyncIterator[RedisClient]:
    client = RedisClient(own_server.url, durations)
    yield client
    await client.close()
