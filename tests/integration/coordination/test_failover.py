"""A Redis that became a replica, fell silent or moved, and Debian's Sentinel: each found again by itself."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from redis.asyncio import Redis

from shared.coordination.client import RedisClient, RedisUnavailable
from shared.durations import DURATIONS, Durations
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.sentinels import Sentinels, sentinels
from tests.support.tls import Authority
from tests.support.waiting import until

Watched: TypeAlias = tuple[Sentinels, RedisServer, RedisServer]


@pytest.fixture
def durations() -> Durations:
    return replace(DURATIONS, redis_probe_s=0.1, redis_call_s=2.0)


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "other").mkdir()
    server = RedisServer(tmp_path / "other")
    server.start()
    yield server
    server.kill()


@asynccontextmanager
async def connected(url: str, durations: Durations) -> AsyncIterator[RedisClient]:
    client = RedisClient(url, durations)
    try:
        yield client
    finally:
        await client.close()


async def follow(server: RedisServer, primary: RedisServer) -> None:
    async with Redis.from_url(server.url) as redis:
        await redis.replicaof(primary.host, primary.port)


async def fails(client: RedisClient) -> bool:
    try:
        await client.command("SET", "key", "value")
    except RedisUnavailable:
        return True
    return False


async def port_of(client: RedisClient) -> int:
    told = await client.command("CONFIG", "GET", "*port")
    ports = dict(zip(told[::2], told[1::2], strict=True))
    return int(ports[b"tls-port"]) or int(ports[b"port"])


async def test_a_primary_that_became_a_replica_is_left_for_the_one_that_the_name_means_now(
    own_server: RedisServer, other_server: RedisServer, durations: Durations
) -> None:
    async with Proxy.before(own_server.url) as name, connected(name.url(own_server.url), durations) as client:
        assert not await fails(client)
        await follow(own_server, other_server)
        assert await fails(client)
        name.lead_to(other_server.url)
        await until(lambda: client.is_available)

        assert await port_of(client) == other_server.port
        assert not await fails(client)


async def test_a_silent_redis_is_left_for_the_one_that_the_name_means_now(
    own_server: RedisServer, other_server: RedisServer, durations: Durations
) -> None:
    async with Proxy.before(own_server.url) as name, connected(name.url(own_server.url), durations) as client:
        assert not await fails(client)
        name.forget()
        name.lead_to(other_server.url)
        assert await fails(client)
        await until(lambda: client.is_available)

        assert await port_of(client) == other_server.port


async def test_sentinel_names_the_new_primary_when_the_old_one_dies_and_so_do_those_left(
    own_server: RedisServer, other_server: RedisServer, durations: Durations, tmp_path: Path
) -> None:
    await follow(other_server, own_server)
    with sentinels(tmp_path, own_server) as watching:
        await until(watching.know_each_other)
        async with connected(watching.url(), durations) as client:
            assert await port_of(client) == own_server.port
            assert b"db=2" in await client.command("CLIENT", "INFO")

            own_server.kill()

            await until(lambda: _writes_to(client, other_server))
        watching.kill(0)
        async with connected(watching.url(), durations) as client:
            assert await _writes_to(client, other_server)


async def _writes_to(client: RedisClient, server: RedisServer) -> bool:
    return not await fails(client) and await port_of(client) == server.port


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"), "localhost")


@pytest.fixture
async def watching_over_tls(tmp_path: Path, authority: Authority) -> AsyncIterator[Watched]:
    """A primary and its replica, known to each other, and what watches them: all of them speak TLS alone."""
    servers = []
    try:
        for name in ("primary", "replica"):
            (tmp_path / name).mkdir()
            servers.append(RedisServer(tmp_path / name, authority))
            servers[-1].start()
        primary, replica = servers
        await follow(replica, primary)
        with sentinels(tmp_path, primary, authority) as watching:
            await until(watching.know_each_other)
            yield watching, primary, replica
    finally:
        for server in servers:
            server.kill()


async def test_over_tls_sentinels_by_their_name_tell_the_primary_and_the_next_one(
    watching_over_tls: Watched, durations: Durations
) -> None:
    watching, primary, replica = watching_over_tls
    async with connected(watching.url(), durations) as client:
        assert await port_of(client) == primary.port
        assert b"db=2" in await client.command("CLIENT", "INFO")

        primary.kill()

        await until(lambda: _writes_to(client, replica))


async def test_sentinels_that_do_not_prove_who_they_are_are_not_asked(
    watching_over_tls: Watched, durations: Durations, tmp_path: Path
) -> None:
    watching, _, _ = watching_over_tls
    stranger = Authority.make(tmp_path / "stranger", "localhost")
    hosts, _, trusted = watching.url().partition("?")
    another_authority = f"{hosts}?ssl_ca_certs={stranger.certificate}"
    another_name = f"{hosts.replace('localhost', '127.0.0.1')}?{trusted}"
    in_clear = hosts.replace("rediss", "redis")

    for url in (another_authority, another_name, in_clear):
        async with connected(url, durations) as client:
            assert await fails(client)
