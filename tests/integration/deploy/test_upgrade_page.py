"""`deploy/upgrade.md` on real servers: each block of commands is run, and a restore does what it says."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
import requests
from redis.asyncio import Redis

from schema.migrator import latest_version, load_migrations, migrate
from shared.durations import DURATIONS
from tests.support.checkers import checker
from tests.support.cluster import Cluster, new_virtual_host
from tests.support.databases import WORKER, with_database, with_login
from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.postgres_server import PostgresServer, installed_server, run_as_server
from tests.support.program import run_wabus
from tests.support.sending import CUSTOMER, NUMBER, PATIENT, Sender, text
from tests.support.servers import Servers
from tests.support.upgrade_page import blocks, releases, server_versions
from tests.support.waiting import until

ROOT: Final = Path(__file__).resolve().parents[3]
BLOCKS: Final = blocks()
PREPARE: Final = "2. Bring schema and queues forward, with the new program"
LOOK: Final = "1. Look, and keep a dump"
GO_BACK: Final = "Go back to an older schema"
DUMP: Final = "A dump of the database"
RESTORE_DUMP: Final = "A dump into a database of its own"
ARCHIVE: Final = "An archive of PostgreSQL's log, once"
BASE: Final = "A base backup, each day"
RESTORE_TIME: Final = "The server, as it was at a time"
BEFORE_WORKERS: Final = "Then, before any worker starts"
SEND_AGAIN: Final = "Look, and send again"
DEFINITIONS: Final = "The broker's definitions"
NEW_BROKER: Final = "The broker's definitions, where it is new"
NEWER_RABBITMQ: Final = "Before a newer RabbitMQ"


def test_every_block_of_the_page_is_run_here() -> None:
    run = {PREPARE, LOOK, GO_BACK, DUMP, RESTORE_DUMP, ARCHIVE, BASE, RESTORE_TIME, BEFORE_WORKERS}
    run |= {SEND_AGAIN, DEFINITIONS, NEW_BROKER, NEWER_RABBITMQ}

    assert set(BLOCKS) == run


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with `wabus` and PostgreSQL's programs."""
    folder = tmp_path_factory.mktemp("programs")
    write_program(folder / "wabus", [sys.executable, "-m", "workers"])
    return f"{folder}:{checker('initdb').parent}:{os.environ['PATH']}"


def write_program(path: Path, words: list[str]) -> None:
    path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    path.chmod(0o755)


@pytest.fixture(scope="module")
def virtual_host(servers: Servers) -> Iterator[str]:
    """Without anything: the page's own commands fill it."""
    with new_virtual_host(servers) as url:
        subprocess.run(
            [sys.executable, "-m", "workers", "topology", "declare"],
            check=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "RABBITMQ_URL": url},
            capture_output=True,
        )
        yield url


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with installed_server() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Operator:
    """Who types the page's commands, at an installation whose database is on a PostgreSQL of its own."""

    environ: dict[str, str]
    owner_url: str

    async def run(self, heading: str, **environ: str) -> str:
        """Run a block as this user; what it printed. Fails with what it said."""
        process = await asyncio.create_subprocess_exec(
            "sh",
            "-e",
            cwd=ROOT,
            env=self.environ | environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate(BLOCKS[heading].encode())
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def run_as_server(self, heading: str, **environ: str) -> None:
        """Run a block as PostgreSQL's account."""
        await asyncio.to_thread(run_as_server, BLOCKS[heading], self.environ | environ)

    async def wabus(self, *arguments: str) -> str:
        """Run `wabus`; what it printed."""
        done = await run_wabus(*arguments, environ=self.environ)
        assert done.code == 0, done.err
        return done.out

    async def fetch(self, query: str, *arguments: object) -> Any:
        """One value of the database."""
        async with connected(self.owner_url) as conn:
            return await conn.fetchval(query, *arguments)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["asyncpg.Connection[Any]"]:
    conn = await asyncpg.connect(url)
    try:
        yield conn
    finally:
        await conn.close()


@pytest.fixture
async def operator(sender: Sender, server: PostgresServer, programs: str) -> AsyncIterator[Operator]:
    """With a database at the latest schema, whose workers sign in by a login of their own."""
    sender.cluster.durations = replace(PATIENT, retry_tier_s=DURATIONS.retry_tier_s)
    name = "wabus"
    owner_url = with_database(server.url, name)
    async with connected(server.url) as conn:
        await conn.execute(f"create database {name}")
    environ = sender.cluster.environment(
        DATABASE_URL=with_login(owner_url, WORKER, WORKER),
        MIGRATION_DATABASE_URL=owner_url,
        WHATSAPP_API_URL=sender.url,
        PATH=programs,
        BACKUPS=str(server.data.parent),
        PGDATA=str(server.data),
    )
    sender.cluster.environ["DATABASE_URL"] = environ["DATABASE_URL"]
    yield Operator(environ, owner_url)
    async with connected(server.url) as conn:
        await conn.execute(f"drop database {name} with (force)")


@pytest.fixture
async def installed(operator: Operator) -> Operator:
    """As the page prepares it."""
    await operator.run(PREPARE)
    async with connected(operator.owner_url) as conn:
        await conn.execute((ROOT / "schema" / "roles.sql").read_text())
        if not await conn.fetchval("select exists (select from pg_roles where rolname = $1)", WORKER):
            await conn.execute(f"create role {WORKER} login in role wabus_worker")
    return operator


async def test_an_upgrade_is_prepared_and_taken_back_by_the_pages_commands(installed: Operator) -> None:
    old = next(release for release in releases() if release.commit)

    await installed.run(LOOK)
    told = await installed.run(PREPARE)
    back = await installed.run(GO_BACK, OLD_SCHEMA=str(old.schema))
    version = await installed.fetch("select max(version) from schema_migrations")

    assert f"at version {latest_version()} already" in told
    assert f"to version {old.schema}" in back or f"at version {old.schema} already" in back
    assert version == old.schema


async def test_workers_go_on_while_the_schema_moves_and_old_ones_that_start_later_are_refused(
    installed: Operator, sender: Sender, tmp_path: Path
) -> None:
    for migration in load_migrations():
        stem = f"{migration.version:03d}_{migration.name}"
        (tmp_path / f"{stem}.up.sql").write_text(migration.up)
        (tmp_path / f"{stem}.down.sql").write_text(migration.down)
    later = tmp_path / f"{latest_version() + 1:03d}_later"
    later.with_suffix(".up.sql").write_text("create table later (id bigserial primary key)")
    later.with_suffix(".down.sql").write_text("drop table later")

    async with sender.cluster.running("inbound-resolver"):
        await write(sender.cluster, "wamid.first")
        await until(lambda: keys_of(sender.cluster) == ["wamid.first"])
        await migrate(installed.owner_url, folder=tmp_path)
        await write(sender.cluster, "wamid.later")
        await until(lambda: keys_of(sender.cluster) == ["wamid.first", "wamid.later"])
        started = await run_wabus("worker", "status-updater", environ=installed.environ)

    assert started.code == 1
    assert "newer than this program knows: run a newer wabus" in started.err


async def test_a_dump_is_restored_into_a_database_in_which_workers_work(
    installed: Operator, server: PostgresServer, sender: Sender
) -> None:
    await installed.wabus("profile", "opt-out", CUSTOMER, "--by", "ana")
    restored = with_database(server.url, "wabus_restored")

    await installed.run(DUMP)
    try:
        told = await installed.run(RESTORE_DUMP, RESTORED_URL=restored)
        sender.cluster.environ["DATABASE_URL"] = with_login(restored, WORKER, WORKER)
        async with sender.cluster.running("inbound-resolver"):
            await write(sender.cluster, "wamid.restored")
            await until(lambda: keys_of(sender.cluster) == ["wamid.restored"])
        async with connected(restored) as conn:
            kept = await conn.fetchval(
                "select array_agg(phone) from customer_profiles where not opt_in_marketing"
            )
    finally:
        async with connected(server.url) as conn:
            await conn.execute("drop database if exists wabus_restored with (force)")

    assert f"at version {latest_version()} already" in told
    assert kept == [CUSTOMER]


async def test_a_server_is_set_back_to_a_time_and_what_came_after_it_goes_as_the_page_says(
    installed: Operator, server: PostgresServer, sender: Sender
) -> None:
    cluster = sender.cluster
    workers = ("inbound-resolver", "outbound-sender", "status-updater", "scheduler")
    settings = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER}
    waiting, sent = text("waiting", "491700000002"), text("sent", "491700000003")

    await installed.run_as_server(ARCHIVE)
    await installed.run_as_server(BASE)
    [base] = server.data.parent.glob("base-*")
    async with cluster.running(*workers, **settings):
        await installed.wabus("number", "pause", NUMBER)
        await write(cluster, "wamid.before")
        await sender.ask(waiting)
        await until(lambda: keys_of(cluster) == ["wamid.before"])
        await until(lambda: is_deferred(installed, "number_paused"))
        time = await installed.fetch("select now()")
        await installed.wabus("number", "resume", NUMBER)
        await write(cluster, "wamid.after")
        await sender.ask(sent)
        await until(lambda: is_accepted(sender, waiting, 1))
        await until(lambda: is_accepted(sender, sent, 1))
        await until(lambda: len(cluster.told("outbound.sent")) == 2)
        await until(lambda: keys_of(cluster) == ["wamid.before", "wamid.after"])

    await asyncio.to_thread(server.stop)
    await installed.run_as_server(RESTORE_TIME, BASE=str(base), RESTORE_TO=time.isoformat())
    await until(lambda: takes_writes(installed))
    await installed.run(BEFORE_WORKERS)
    async with cluster.running(*workers, **settings):
        for wamid in ("wamid.before", "wamid.after"):
            await write(cluster, wamid)
        await sender.ask(sent)
        await cluster.publish("wa.status", "whatsapp", await status_of(sender, waiting))
        await until(lambda: keys_of(cluster) == ["wamid.before", "wamid.after", "wamid.after"])
        await until(lambda: is_delivered(installed, "waiting"))
        await until(lambda: is_deferred(installed, "number_paused"))
        await installed.run(SEND_AGAIN)
        await until(lambda: is_accepted(sender, sent, 2))
        await until(lambda: is_nothing_deferred(installed))

    assert await is_accepted(sender, waiting, 1)


async def write(cluster: Cluster, wamid: str) -> None:
    """A customer's message."""
    body = {"wamid": wamid, "timestamp": 1768473000, "wa_id": CUSTOMER, "phone_number_id": NUMBER}
    await cluster.publish("wa.inbound", CUSTOMER, body)


def keys_of(cluster: Cluster) -> list[Any]:
    """Under which keys messages were told enriched so far."""
    told = [event for event in cluster.events if event.routing_key == "inbound.enriched"]
    return [event.headers["x-idempotency-key"] for event in told]


async def is_deferred(operator: Operator, reason: str) -> bool:
    return bool(await operator.fetch("select count(*) from deferred_messages where reason = $1", reason))


async def is_nothing_deferred(operator: Operator) -> bool:
    return not await operator.fetch("select exists (select from deferred_messages)")


async def is_delivered(operator: Operator, client_id: str) -> bool:
    query = "select status = 'delivered' from message_tracking where client_message_id = $1"
    return bool(await operator.fetch(query, client_id))


async def takes_writes(operator: Operator) -> bool:
    return not await operator.fetch("select pg_is_in_recovery()")


async def is_accepted(sender: Sender, message: Mapping[str, Any], times: int) -> bool:
    """Whether the platform took it so often."""
    return len(await sender.sandbox.messages(message["wa_id"])) == times


async def status_of(sender: Sender, message: Mapping[str, Any]) -> dict[str, Any]:
    """What the platform told of it, as its gateway publishes it."""
    [accepted] = await sender.sandbox.messages(message["wa_id"])
    return {
        "wamid": accepted["wamid"],
        "status": "delivered",
        "timestamp": "1768473000",
        "callback_data": accepted["callback_data"],
    }


def test_the_brokers_definitions_come_back(own_rabbitmq: OwnRabbitMQ, tmp_path: Path) -> None:
    write_program(tmp_path / "rabbitmqctl", own_rabbitmq.rabbitmqctl())
    folder = tmp_path if own_rabbitmq.server.container is None else Path("/var/lib/rabbitmq")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "BACKUPS": str(folder)}

    def control(script: str) -> str:
        done = subprocess.run(
            ["sh", "-e"], check=False, input=script, text=True, env=environ, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    control("rabbitmqctl add_user kept secret && rabbitmqctl set_permissions kept '^$' '^wa' '^$'")
    control("rabbitmqctl set_policy limit '^inbound' '{\"max-length\": 100000}'")
    try:
        control(BLOCKS[DEFINITIONS])
        control("rabbitmqctl delete_user kept && rabbitmqctl clear_policy limit")
        control(BLOCKS[NEW_BROKER])
        permissions = json.loads(control("rabbitmqctl -q list_user_permissions kept --formatter json"))
        policies = json.loads(control("rabbitmqctl -q list_policies --formatter json"))
        control("rabbitmqctl authenticate_user kept secret")
        control(BLOCKS[NEWER_RABBITMQ])
    finally:
        control("rabbitmqctl delete_user kept; rabbitmqctl clear_policy limit")

    assert [entry["write"] for entry in permissions] == ["^wa"]
    assert [entry["name"] for entry in policies] == ["limit"]


async def test_these_tests_run_on_servers_of_the_versions_that_the_page_names(
    servers: Servers, redis_url: str
) -> None:
    overview = await asyncio.to_thread(
        requests.get, f"{servers.rabbitmq_management_url}/api/overview", timeout=30
    )
    async with connected(servers.database_url) as conn, Redis.from_url(redis_url) as redis:
        found = {
            "PostgreSQL": await conn.fetchval("show server_version"),
            "RabbitMQ": overview.json()["rabbitmq_version"],
            "Redis": (await redis.info("server"))["redis_version"],
        }

    for range_ in server_versions():
        assert range_.holds(found[range_.server]), (range_, found)
