"""Every command against a server that is away or refuses us: one line that names it and what helps."""

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.support.cluster import Cluster, limited_user
from tests.support.databases import with_login
from tests.support.program import Outcome, run_wabus
from tests.support.rows import insert
from tests.support.servers import Servers

#: Commands that work on PostgreSQL.
STORE: Final = (
    ("number", "list"),
    ("number", "pause", "1001", "--reason", "x"),
    ("number", "resume", "1001"),
    ("dlq", "list"),
    ("dlq", "show", "3f2a9c1e"),
    ("dlq", "replay", "--reason", "expired", "--dry-run"),
    ("dlq", "dismiss", "--reason", "expired", "--why", "x", "--yes"),
    ("dlq", "edit", "3f2a9c1e"),
    ("message", "show", "+491700000001"),
    ("profile", "show", "+491700000001"),
    ("profile", "opt-in", "+491700000001"),
    ("profile", "opt-out", "+491700000001"),
    ("profile", "erase", "+491700000001", "--dry-run"),
    ("campaign", "status"),
    ("campaign", "pause", "spring"),
    ("campaign", "resume", "spring"),
    ("campaign", "cancel", "spring", "--yes"),
    ("migrate",),
    ("migrate", "--dry-run"),
)
#: One of each kind.
SOME: Final = [
    command for command in STORE if command[-1] in ("list", "status", "migrate") or "show" in command
]
#: Commands that publish or declare.
BROKER: Final = (
    ("topology", "declare"),
    ("topology", "check"),
    ("campaign", "pause", "spring"),
    ("campaign", "resume", "spring"),
    ("campaign", "cancel", "spring", "--yes"),
    ("dlq", "replay", "--reason", "expired"),
)


def check_line(outcome: Outcome, server: str, place: str) -> None:
    """One line of ours, with the server, where it is, and something to run; no secret."""
    assert (outcome.code, outcome.out) == (1, "")
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("wabus: ")
    assert server in lines[0]
    assert place in lines[0]
    assert "`" in lines[0], "it names no command"
    assert "hidden" not in lines[0]


def away(url: str) -> str:
    """Nobody listens there."""
    return urlunsplit(urlsplit(url)._replace(netloc="someone:hidden@127.0.0.1:1"))


def unknown(url: str) -> str:
    """A login that is not there."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"nobody:hidden@{parts.hostname}:{parts.port}"))


@pytest.mark.parametrize(
    ("spoil", "command"),
    [*((away, command) for command in STORE), *((unknown, command) for command in SOME)],
)
async def test_without_postgresql_a_command_says_so_in_one_line(
    cluster: Cluster, command: tuple[str, ...], spoil: Callable[[str], str]
) -> None:
    url = spoil(cluster.database_url)
    environ = {"RABBITMQ_URL": cluster.rabbitmq_url, "DATABASE_URL": url, "REDIS_URL": cluster.redis_url}

    outcome = await run_wabus(*command, environ=environ)

    check_line(outcome, "PostgreSQL", f":{urlsplit(url).port}")


@pytest.mark.parametrize("command", SOME, ids=" ".join)
async def test_without_rights_in_postgresql_a_command_says_so_in_one_line(
    cluster: Cluster, conn: "asyncpg.Connection[asyncpg.Record]", command: tuple[str, ...]
) -> None:
    login = f"refused_{urlsplit(cluster.database_url).path[1:]}"
    await conn.execute(f"create role {login} login password 'hidden'")
    try:
        url = with_login(cluster.database_url, login, "hidden")
        environ = {"RABBITMQ_URL": cluster.rabbitmq_url, "DATABASE_URL": url}
        outcome = await run_wabus(*command, environ=environ)
    finally:
        await conn.execute(f"drop role {login}")

    check_line(outcome, "PostgreSQL", f":{urlsplit(url).port}")


@pytest.fixture
async def work(cluster: Cluster) -> None:
    """A campaign and a dead letter, so that there is something to publish."""
    await insert(cluster.conn, "broadcast_campaigns", id="spring", status="running", phone_number_id="1001")
    await insert(
        cluster.conn,
        "dead_letter_queue",
        source_queue="status-updater",
        reason="expired",
        raw_body=b"{}",
        status="pending",
    )


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("command", BROKER, ids=" ".join)
@pytest.mark.parametrize("spoil", [away, unknown])
async def test_without_rabbitmq_a_command_says_so_in_one_line(
    cluster: Cluster, command: tuple[str, ...], spoil: Callable[[str], str]
) -> None:
    url = spoil(cluster.rabbitmq_url)
    environ = {"RABBITMQ_URL": url, "DATABASE_URL": cluster.database_url, "REDIS_URL": cluster.redis_url}

    outcome = await run_wabus(*command, environ=environ)

    check_line(outcome, "RabbitMQ", f":{urlsplit(url).port}")


async def test_without_the_right_to_declare_a_command_says_which(cluster: Cluster, servers: Servers) -> None:
    with limited_user(servers, cluster.rabbitmq_url, configure="^$", write="^$", read="^$") as url:
        outcome = await run_wabus("topology", "declare", environ={"RABBITMQ_URL": url})

    assert outcome.code == 1
    assert (urlsplit(url).username or "?") in outcome.err
    assert "rabbitmqctl set_permissions" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.usefixtures("work")
async def test_without_the_right_to_publish_a_replay_says_so_and_leaves_all_pending(
    cluster: Cluster, servers: Servers
) -> None:
    with limited_user(servers, cluster.rabbitmq_url, configure="^$", write="^$", read="^$") as url:
        environ = {"RABBITMQ_URL": url, "DATABASE_URL": cluster.database_url}
        outcome = await run_wabus("dlq", "replay", "--reason", "expired", environ=environ)

    assert outcome.code == 1
    assert f"refused for user '{urlsplit(url).username}'" in outcome.out
    assert await cluster.conn.fetchval("select status from dead_letter_queue") == "pending"
