"""`wabus doctor` at servers that are away, silent, read-only, or refuse what workers do."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis

from shared.coordination.client import RedisClient
from shared.observability.checks import ask
from shared.observability.health import Health, WorkerState, judge
from shared.observability.metrics import Metrics
from shared.running.probes import RedisProbe
from tests.integration.cli.test_cli_doctor import (
    SUBJECTS,
    api_url,
    environ,
    find,
    ills,
    levels_of,
    only,
    run,
    virtual_host,
)
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.rows import Connection, insert
from tests.support.sentinels import sentinels
from tests.support.tls import Authority
from workers.cli.diagnosis.redis import GRANT

__all__ = ["api_url", "environ", "virtual_host"]


#: Nothing listens there.
AWAY: Final = {
    "RABBITMQ_URL": "amqp://someone:hidden@127.0.0.1:1/",
    "DATABASE_URL": "postgresql://someone:hidden@127.0.0.1:1/wabus",
    "REDIS_URL": "redis://:hidden@127.0.0.1:1/0",
    "WHATSAPP_API_URL": "http://127.0.0.1:1",
}


async def test_a_server_that_is_away_does_not_hide_the_others(environ: dict[str, str]) -> None:
    for variable, subject in SUBJECTS.items():
        findings = await find(environ | {variable: AWAY[variable]})

        for other in SUBJECTS.values():
            assert levels_of(findings, other, "reached") == ["error" if other == subject else "ok"], other
        assert only(findings, subject, "reached")["mend"]


async def test_with_all_servers_away_each_is_told_and_nothing_else() -> None:
    findings = await find(AWAY)
    shown = await run(AWAY)

    assert ills(findings) == [
        *((subject, "reached", "error") for subject in SUBJECTS.values() if subject != "cloud-api"),
        ("cloud-api", "reached", "warn"),  # without a token nothing is sent there
        ("cloud-api", "token", "warn"),
    ]
    assert shown.code == 1
    assert shown.out.endswith("errors: 3, warnings: 2\n")


async def test_servers_that_take_connections_and_never_answer_are_told(environ: dict[str, str]) -> None:
    async with (
        Proxy.before(environ["RABBITMQ_URL"]) as rabbitmq,
        Proxy.before(environ["DATABASE_URL"]) as postgresql,
        Proxy.before(environ["REDIS_URL"]) as redis,
        Proxy.before(environ["WHATSAPP_API_URL"]) as api,
    ):
        silent = dict(environ)
        for proxy, variable in zip((rabbitmq, postgresql, redis, api), SUBJECTS, strict=True):
            proxy.swallow()
            silent[variable] = proxy.url(environ[variable])

        findings = await find(silent)

        assert {item[0] for item in ills(findings)} == set(SUBJECTS.values())
        for proxy in (rabbitmq, postgresql, redis, api):
            proxy.heal()


@pytest.mark.parametrize(
    ("variable", "path", "told"),
    [
        ("RABBITMQ_URL", "/nowhere", "rabbitmqctl add_vhost nowhere"),
        ("DATABASE_URL", "/nowhere", "createdb"),
    ],
)
async def test_a_place_that_is_missing_on_a_server_is_named(
    variable: str, path: str, told: str, environ: dict[str, str]
) -> None:
    url = urlunsplit(urlsplit(environ[variable])._replace(path=path))

    findings = await find(environ | {variable: url})

    finding = only(findings, SUBJECTS[variable], "reached")

    assert finding["level"] == "error"
    assert "nowhere" in finding["detail"]
    assert told in finding["mend"]


async def test_a_refused_password_is_told_without_it(environ: dict[str, str]) -> None:
    parts = urlsplit(environ["RABBITMQ_URL"])
    url = urlunsplit(parts._replace(netloc=f"guest:hidden@{parts.hostname}:{parts.port}"))

    findings = await find(environ | {"RABBITMQ_URL": url})

    assert "password" in only(findings, "rabbitmq", "reached")["mend"]


async def test_a_newer_schema_is_an_error_and_the_work_is_not_looked_at(
    environ: dict[str, str], conn: Connection
) -> None:
    await insert(conn, "schema_migrations", version=99, name="later", checksum="x")

    findings = await find(environ)

    assert levels_of(findings, "postgresql", "schema") == ["error"]
    assert "99" in only(findings, "postgresql", "schema")["detail"]
    assert not [finding for finding in findings if finding["subject"] == "work"]


async def test_a_read_only_database_is_an_error(environ: dict[str, str], conn: Connection) -> None:
    name = urlsplit(environ["DATABASE_URL"]).path[1:]
    await conn.execute(f"alter database {name} set default_transaction_read_only = on")

    findings = await find(environ)

    assert levels_of(findings, "postgresql", "writable") == ["error"]


async def test_a_redis_that_takes_no_writes_is_an_error(environ: dict[str, str], tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        async with Redis.from_url(server.url) as redis:
            await redis.replicaof("127.0.0.1", "1")
        findings = await find(environ | {"REDIS_URL": server.url})
    finally:
        server.kill()

    assert levels_of(findings, "redis", "writable") == ["error"]
    assert levels_of(findings, "redis", "reached") == ["ok"]


REFUSED: Final = {
    "scripts": ("-eval", "-evalsha"),
    "a command in one of them": ("-hset",),
    "the keys of locks": ("resetkeys", "~rate:*", "~mapping:*"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_redis_that_refuses_what_workers_run_is_told_by_doctor_and_by_their_health(
    what: str, environ: dict[str, str], cluster: Cluster, tmp_path: Path
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    url = server.url.replace("://", "://limited:hidden@")
    try:
        async with Redis.from_url(server.url) as redis:
            await redis.execute_command(  # type: ignore[no-untyped-call]
                "ACL", "SETUSER", "limited", "on", ">hidden", "~*", "+@all", *REFUSED[what]
            )
        findings = await find(environ | {"REDIS_URL": url})
        client = RedisClient(url, cluster.durations)
        probe = RedisProbe(client)
        verdict = judge(WorkerState("test", Metrics()), [probe], {probe.name: await ask(probe)})
        await client.close()
    finally:
        server.kill()

    told = only(findings, "redis", "writable")

    assert levels_of(findings, "redis", "reached") == ["ok"]
    assert told["level"] == "error"
    assert told["detail"].startswith("refuses what workers run: ")
    assert "acl setuser" in told["mend"]
    assert verdict.health is Health.DEGRADED
    assert "redis check failed" in verdict.reasons
    assert "Redis refused a call" in str(verdict.checks["redis"].error)


async def test_a_user_with_the_rights_that_the_command_grants_is_enough(
    environ: dict[str, str], tmp_path: Path
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    try:
        async with Redis.from_url(server.url) as redis:
            rights = GRANT.partition("USER ")[2].split()
            command = ("ACL", "SETUSER", "limited", "on", ">hidden", *rights)
            await redis.execute_command(*command)  # type: ignore[no-untyped-call]
        findings = await find(environ | {"REDIS_URL": server.url.replace("://", "://limited:hidden@")})
    finally:
        server.kill()

    assert [item["level"] for item in findings if item["subject"] == "redis"] == ["ok", "ok"]


@pytest.mark.parametrize("secured", [False, True], ids=["in clear", "over TLS"])
async def test_a_redis_by_way_of_sentinel_is_looked_at_as_workers_see_it(
    secured: bool, environ: dict[str, str], tmp_path: Path
) -> None:
    # Given a primary that Sentinels name, and the same after it has died without a replica
    authority = Authority.make(tmp_path / "authority", "localhost") if secured else None
    primary = RedisServer(tmp_path, authority)
    primary.start()
    try:
        with sentinels(tmp_path, primary, authority) as watching:
            well = await find(environ | {"REDIS_URL": watching.url()})
            unknown = await find(environ | {"REDIS_URL": watching.url("another")})
            primary.kill()
            dead = await find(environ | {"REDIS_URL": watching.url()})
        away = await find(environ | {"REDIS_URL": watching.url().replace("://", "://:hidden@")})
    finally:
        primary.kill()

    told = only(well, "redis", "reached")
    assert [item["level"] for item in well if item["subject"] == "redis"] == ["ok", "ok"]
    assert told["version"].count(".") == 2
    assert "knows no primary of another" in only(unknown, "redis", "reached")["detail"]
    for findings in (unknown, dead, away):
        assert [item["level"] for item in findings if item["subject"] == "redis"] == ["error"]
        assert only(findings, "redis", "reached")["mend"]
