"""A server that falls silent, turns read-only or moves: its connections go, its name is resolved anew."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import uvloop

from shared.amqp.opening import open_connection
from shared.coordination.client import RedisClient
from shared.durations import DURATIONS
from shared.errors import StoreUnavailable
from shared.postgres.connecting import PostgresConnection
from shared.postgres.database import Database
from tests.integration.messaging.conversations.test_inbound_resolver import enriched, message, send
from tests.support.cluster import Cluster
from tests.support.postgres_server import PostgresServer, primary_and_standby
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from tests.support.waiting import until


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary and its standby; no test ends or promotes one."""
    with primary_and_standby() as servers:
        yield servers


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def behind_proxy(cluster: Cluster, variable: str) -> AsyncIterator[Proxy]:
    url = cluster.environment()[variable]
    async with Proxy.before(url) as proxy:
        cluster.environ[variable] = proxy.url(url)
        yield proxy


def at(url: str, hosts: str) -> str:
    """`url` with other hosts."""
    parts = urlsplit(url)
    login, at_sign, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login}{at_sign}{hosts}"))


async def works(database: Database) -> bool:
    try:
        await database.check_writable()
    except StoreUnavailable:
        return False
    return True


async def test_a_primary_that_moved_is_found_though_the_old_one_still_answers() -> None:
    with primary_and_standby() as (old, new):
        async with Proxy.before(old.url) as name, opened(name.url(old.url)) as database:
            await asyncio.gather(*(database.fetchval("select pg_sleep(0.1)") for _ in range(3)))
            new.promote()
            await demote(old)
            assert not await works(database)
            name.lead_to(new.url)
            await until(lambda: works(database))

            assert await database.fetchval("select inet_server_port()") == new.port


async def demote(server: PostgresServer) -> None:
    """As when the old primary is back as a standby, to whoever has a connection from before."""
    conn = await asyncpg.connect(server.url)
    await conn.execute("alter system set default_transaction_read_only = on")
    await conn.execute("select pg_reload_conf()")
    await conn.close()


async def test_one_that_meets_a_read_only_server_costs_the_pool_all_connections(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    primary, standby = pair
    async with Proxy.before(standby.url) as name, opened(name.url(standby.url)) as database:
        await asyncio.gather(*(database.fetchval("select pg_sleep(0.1)") for _ in range(3)))
        with pytest.raises(StoreUnavailable):
            await database.execute("create table never (id integer)")
        name.lead_to(primary.url)
        ports = await asyncio.gather(*(database.fetchval("select inet_server_port()") for _ in range(8)))

    assert set(ports) == {primary.port}


async def test_a_statement_whose_connection_goes_between_two_steps_has_met_a_server_that_is_away(
    pair: tuple[PostgresServer, PostgresServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one's connection meets the read-only server just when this one's statement is prepared."""
    prepare = PostgresConnection._get_statement  # type: ignore[attr-defined]

    async def prepare_and_lose(self: PostgresConnection, query: str, *args: Any, **kwargs: Any) -> Any:
        statement = await prepare(self, query, *args, **kwargs)
        if query == "select 2":
            with pytest.raises(StoreUnavailable):
                await database.execute("create table never (id integer)")
        return statement

    monkeypatch.setattr(PostgresConnection, "_get_statement", prepare_and_lose)
    _, standby = pair
    async with opened(standby.url) as database:
        with pytest.raises(StoreUnavailable, match="closed under a statement"):
            await database.fetchval("select 2")

        assert await database.fetchval("select 1") == 1


async def test_a_forgotten_connection_is_given_up_and_a_slow_statement_is_not(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    primary, _ = pair
    async with Proxy.before(primary.url) as firewall, opened(firewall.url(primary.url)) as database:
        assert await database.fetchval("select pg_sleep(6)::text") == ""
        firewall.forget()
        asking = asyncio.create_task(database.fetchval("select 1"))
        await until(asking.done, 20)  # well before the statement's own time is up

        assert isinstance(asking.exception(), StoreUnavailable)
        assert await database.fetchval("select 1") == 1


async def test_a_statement_that_its_caller_gives_up_does_not_hide_the_silence(
    pair: tuple[PostgresServer, PostgresServer], caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever gives up waits until the server says that it has stopped."""
    primary, _ = pair

    async def ask() -> None:
        async with asyncio.timeout(0.2):
            await database.fetchval("select 1")

    async with Proxy.before(primary.url) as firewall, opened(firewall.url(primary.url)) as database:
        await database.fetchval("select 1")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await database.fetchval("select pg_sleep(60)")
        assert await database.fetchval("select 1") == 1
        firewall.forget()
        asking = [asyncio.create_task(ask()) for _ in range(12)]
        await until(lambda: all(task.done() for task in asking))
        assert "PostgreSQL has fallen silent" in caplog.text
        assert await database.fetchval("select 1") == 1
        await asyncio.gather(*asking, return_exceptions=True)


async def test_a_server_that_never_answers_again_is_given_up(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    primary, standby = pair
    async with Proxy.before(standby.url) as name, opened(name.url(standby.url)) as database:
        await database.fetchval("select 1")
        name.swallow()
        with pytest.raises(StoreUnavailable):
            await database.fetchval("select 1")
        assert not await works(database)
        name.heal()
        name.lead_to(primary.url)
        await until(lambda: works(database))


async def test_the_host_that_takes_writes_is_found_among_several(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    primary, standby = pair
    hosts = f"127.0.0.1:1,127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
    for attributes in ("", "?target_session_attrs=read-write"):
        async with opened(at(primary.url, hosts) + attributes) as database:
            assert await database.fetchval("select inet_server_port()") == primary.port


async def test_a_standby_alone_is_taken_unless_the_url_wants_writes(
    pair: tuple[PostgresServer, PostgresServer],
) -> None:
    _, standby = pair
    async with opened(standby.url) as database:
        assert await database.fetchval("select pg_is_in_recovery()")
    async with opened(f"{standby.url}?target_session_attrs=read-write") as database:
        with pytest.raises(StoreUnavailable, match="is read-only"):
            await database.fetchval("select 1")


async def test_a_silent_host_leaves_the_next_its_share_of_the_time(cluster: Cluster) -> None:
    """Both servers at once: the first of each two hosts takes connections and says nothing."""
    async with silent() as host:
        for variable in ("DATABASE_URL", "RABBITMQ_URL"):
            url = cluster.environment()[variable]
            parts = urlsplit(url)
            cluster.environ[variable] = at(url, f"{host},{parts.hostname}:{parts.port}")
        async with cluster.running("inbound-resolver"):
            await send(cluster, message(1))
            await until(lambda: len(enriched(cluster)) == 1)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Host and port of a server that takes every connection and never says a word."""
    ended = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        ended.set()
        server.close()


async def test_a_worker_leaves_a_silent_postgresql_by_itself(cluster: Cluster) -> None:
    async with behind_proxy(cluster, "DATABASE_URL") as firewall, cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        await until(lambda: len(enriched(cluster)) == 1)
        firewall.forget()
        await send(cluster, *(message(number) for number in range(2, 20)))
        await until(lambda: len({item["wamid"] for item in enriched(cluster)}) == 19)

    assert await cluster.depth("dlq-handler") == 0


async def test_a_worker_leaves_a_silent_rabbitmq_by_itself(cluster: Cluster) -> None:
    async with behind_proxy(cluster, "RABBITMQ_URL") as firewall, cluster.running("inbound-resolver"):
        await send(cluster, message(1))
        await until(lambda: len(enriched(cluster)) == 1)
        firewall.forget()
        await send(cluster, *(message(number) for number in range(2, 20)))
        await until(lambda: len({item["wamid"] for item in enriched(cluster)}) == 19, 30)

    assert await cluster.depth("dlq-handler") == 0


async def test_silence_is_known_by_the_missing_beats_alone(virtual_host: str) -> None:
    async with Proxy.before(virtual_host) as firewall:
        connection = await open_connection(firewall.url(virtual_host))
        try:
            assert not connection.is_silent
            firewall.forget()
            await until(lambda: connection.is_silent)
        finally:
            connection.abort()


def test_the_loop_of_shipped_workers_reaches_all_three_servers(
    servers: Servers, virtual_host: str, database_url: str
) -> None:
    """Its transports and sockets are not those of the loop that tests run on."""

    async def reach() -> None:
        connection = await open_connection(virtual_host)
        assert not connection.is_silent
        await connection.close()
        async with opened(database_url) as database:
            await database.check_writable()
        redis = RedisClient(servers.redis_url)
        await redis.ping()
        await redis.close()

    uvloop.run(reach())


def test_what_is_looked_for_is_found_within_ten_seconds_of_its_return() -> None:
    """A pause, and the time that a look at the old server may take that began before the name changed."""
    looks_s = 5.0
    assert DURATIONS.store_probe_max_s + looks_s < 10
    assert DURATIONS.reconnect_max_s + looks_s < 10
