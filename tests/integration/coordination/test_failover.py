"""A Redis that became a replica, fell silent or moved, and Debian's Sentinel: each found again by itself."""

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.coordination.client import RedisClient, RedisUnavailable
from shared.durations import DURATIONS, Durations
from tests.support.checkers import checker
from tests.support.proxy import proxied
from tests.support.redis_server import RedisServer
from tests.support.waiting import until


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
        await redis.replicaof("127.0.0.1", primary.port)


async def fails(client: RedisClient) -> bool:
    try:
        await client.command("SET", "key", "value")
    except RedisUnavailable:
        return True
    return False


async def port_of(client: RedisClient) -> int:
    return int((await client.command("CONFIG", "GET", "port"))[1])


async def test_a_primary_that_became_a_replica_is_left_for_the_one_that_the_name_means_now(
    own_server: RedisServer, other_server: RedisServer, durations: Durations
) -> None:
    async with proxied(own_server.url) as name, connected(name.url(own_server.url), durations) as client:
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
    async with proxied(own_server.url) as name, connected(name.url(own_server.url), durations) as client:
        assert not await fails(client)
        name.forget()
        name.lead_to(other_server.url)
        assert await fails(client)
        await until(lambda: client.is_available)
        assert await port_of(client) == other_server.port


class Sentinels:
    """Three of Debian's, which watch one primary as `main` and agree after half a second."""

    def __init__(self, folder: Path, primary: RedisServer) -> None:
        self._processes = []
        self.ports = []
        for number in range(3):
            server = RedisServer(folder)
            (folder / f"{number}.conf").write_text(
                f"port {server.port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary.port} 2\n"
                "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n"
            )
            conf = str(folder / f"{number}.conf")
            command = [str(checker("redis-server")), conf, "--sentinel", "--dir", str(folder)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            self._processes.append(process)
            self.ports.append(server.port)
            while not server.answers():
                time.sleep(0.01)

    async def know_each_other(self) -> bool:
        """Whether each sees the other two and the replica."""
        for port in self.ports:
            async with Redis(port=port) as redis:
                state: Any = await redis.sentinel_master("main")
            if state["num-other-sentinels"] != 2 or state["num-slaves"] != 1:
                return False
        return True

    def kill(self, number: int) -> None:
        self._processes[number].kill()
        self._processes[number].wait()

    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{hosts}/main/2"


@contextmanager
def sentinels(folder: Path, primary: RedisServer) -> Iterator[Sentinels]:
    started = Sentinels(folder, primary)
    try:
        yield started
    finally:
        for number in range(3):
            started.kill(number)


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
