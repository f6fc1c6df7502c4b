"""TLS to all three servers: checked against an authority, for the right host, never given up for clear text.

PostgreSQL is a real one of this module's own with `ssl = on`, which would take clear text too. RabbitMQ and
Redis are the session's, behind a front that takes TLS and notes how each caller began.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from schema.migrator import migrate
from shared.errors import SettingsError
from shared.settings.settings import Settings
from tests.integration.observability.test_metrics_of_work import until_scraped, worker
from tests.support.cluster import Cluster
from tests.support.databases import new_database
from tests.support.http import get
from tests.support.processes import Processes
from tests.support.program import run_wabus
from tests.support.servers import Servers, running_stack
from tests.support.tls import HANDSHAKE, Authority, TlsFront, tls_front
from tests.support.waiting import until
from workers.registry import WORKER_NAMES

HOST = "localhost"
_EXPIRY = "certificate_expiry_timestamp_seconds"
UNVERIFIED = "certificate verify failed"
ON_SERVER = "copy (select unnest(string_to_array($${0}$$, E'\\n'))) to program 'cat > {1} && chmod 600 {1}'"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Of the certificate that all three servers show, which is for HOST."""
    return Authority.make(tmp_path_factory.mktemp("authority"), HOST)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that signed none of them."""
    return Authority.make(tmp_path_factory.mktemp("stranger"), HOST)


@pytest.fixture(scope="module")
def tls_database(servers: Servers, authority: Authority) -> Iterator[str]:
    """The URL, without parameters, of a migrated database on a PostgreSQL with `ssl = on`."""
    others = {"RABBITMQ_URL": servers.rabbitmq_url, "REDIS_URL": servers.redis_url}
    environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | others
    with running_stack(environ) as urls, new_database(urls["DATABASE_URL"]) as url:
        asyncio.run(serve_tls(url, authority))
        asyncio.run(migrate(url))
        yield url.replace("127.0.0.1", HOST)


async def serve_tls(url: str, authority: Authority) -> None:
    """Have the server speak TLS, from its next connection on."""
    conn = await asyncpg.connect(url)
    try:
        for source, name in (
            (authority.server_certificate, "server.crt"),
            (authority.server_key, "server.key"),
        ):
            await conn.execute(ON_SERVER.format(source.read_text(), name))
        await conn.execute("alter system set ssl = on")
        await conn.execute("select pg_reload_conf()")
    finally:
        await conn.close()


@dataclass
class Fronts:
    """Where the three servers speak TLS."""

    rabbitmq_url: str
    redis_url: str
    database_url: str
    rabbitmq: TlsFront
    redis: TlsFront

    def urls(self, ca: Path, host: str = HOST) -> dict[str, str]:
        """Variables that name all three, trusting this authority."""
        database = self.database_url.replace(HOST, host)
        return {
            "RABBITMQ_URL": self.rabbitmq.url(self.rabbitmq_url, "amqps", host, f"cafile={ca}"),
            "REDIS_URL": self.redis.url(self.redis_url, "rediss", host, f"ssl_ca_certs={ca}"),
            "DATABASE_URL": f"{database}?sslmode=verify-full&sslrootcert={ca}",
        }

    def assert_no_clear_text(self) -> None:
        """Every caller began a TLS handshake, and there were some."""
        for front in (self.rabbitmq, self.redis):
            assert front.beginnings
            assert set(front.beginnings) == {HANDSHAKE}


@pytest.fixture
async def fronts(cluster: Cluster, authority: Authority, tls_database: str) -> AsyncIterator[Fronts]:
    async with AsyncExitStack() as stack:
        yield Fronts(
            cluster.rabbitmq_url,
            cluster.redis_url,
            tls_database,
            await stack.enter_async_context(tls_front(cluster.rabbitmq_url, authority)),
            await stack.enter_async_context(tls_front(cluster.redis_url, authority)),
        )


async def test_every_worker_works_over_tls(cluster: Cluster, fronts: Fronts, authority: Authority) -> None:
    urls = fronts.urls(authority.certificate)
    async with cluster.running(*WORKER_NAMES, **urls):
        body = {"wamid": "wamid.1", "timestamp": "2026-01-15T10:30:00Z", "wa_id": "491700000001"}
        await cluster.publish("wa.inbound", "491700000001", body)
        await until(lambda: bool(cluster.told("inbound.enriched")))
        conn = await asyncpg.connect(urls["DATABASE_URL"])
        try:
            encrypted = await conn.fetch(
                "select distinct ssl from pg_stat_ssl join pg_stat_activity using (pid) "
                "where application_name = 'wabus'"
            )
        finally:
            await conn.close()
    assert [row["ssl"] for row in encrypted] == [True]
    fronts.assert_no_clear_text()


async def test_when_the_certificates_of_the_servers_run_out(
    cluster: Cluster, fronts: Fronts, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(cluster, caplog, "scheduler", **fronts.urls(authority.certificate)) as url:
        checked = await until_scraped(url, lambda seen: len(seen.values(_EXPIRY)) == 3)
    async with worker(cluster, caplog, "scheduler") as url:
        unknown = await until_scraped(url, lambda seen: bool(seen.value("scheduler_lease")))

    in_two_days = pytest.approx(time.time() + 2 * 86400, abs=3600)
    assert checked.values(_EXPIRY) == dict.fromkeys(("database", "redis", "rabbitmq"), in_two_days)
    assert unknown.values(_EXPIRY) == {}


async def test_the_command_line_works_over_tls(fronts: Fronts, authority: Authority) -> None:
    urls = fronts.urls(authority.certificate)
    doctor = await run_wabus("doctor", "--json", environ=urls)
    reached = {item["subject"]: item["level"] for item in findings(doctor.json) if item["check"] == "reached"}
    assert {reached[name] for name in ("rabbitmq", "postgresql", "redis")} == {"ok"}, doctor.out
    assert (await run_wabus("migrate", environ=urls)).code == 0
    assert (await run_wabus("number", "list", environ=urls)).code == 0
    fronts.assert_no_clear_text()


@pytest.mark.parametrize("wrong", ["authority", "host"])
async def test_a_server_that_proves_nothing_is_a_plain_error(
    fronts: Fronts, authority: Authority, stranger: Authority, wrong: str
) -> None:
    urls = (
        fronts.urls(stranger.certificate)
        if wrong == "authority"
        else fronts.urls(authority.certificate, "127.0.0.1")
    )
    doctor = await run_wabus("doctor", "--json", environ=urls)
    said = {item["subject"]: item["detail"] for item in findings(doctor.json) if item["check"] == "reached"}
    assert doctor.code == 1
    for name in ("rabbitmq", "postgresql", "redis"):
        assert UNVERIFIED in said[name].lower().replace("_", " "), said
    for command in (["migrate"], ["number", "list"], ["topology", "check"]):
        outcome = await run_wabus(*command, environ=urls)
        assert outcome.code == 1
        assert UNVERIFIED in outcome.err.lower().replace("_", " "), (command, outcome.err)
        assert outcome.err.count("\n") == 1
    fronts.assert_no_clear_text()


async def test_a_worker_waits_for_servers_that_prove_who_they_are(
    fronts: Fronts, authority: Authority, stranger: Authority, processes: Processes
) -> None:
    right, wrong = fronts.urls(authority.certificate), fronts.urls(stranger.certificate)
    first, second = (
        processes.start("inbound-resolver", None, **urls | {"DATABASE_URL": database["DATABASE_URL"]})
        for urls, database in ((right, wrong), (wrong, right))
    )
    for program, server in ((first, "PostgreSQL"), (second, "RabbitMQ")):
        said = await program.until_says(f"{server} ")
        assert "is away" in said
        assert UNVERIFIED in said.lower().replace("_", " ")
        code, verdict = await get(await program.url(), "/health")
        assert code == 503
        assert verdict["status"] == "unhealthy"
        assert "Traceback" not in program.log.read_text()
    assert (await get(await second.url(), "/health"))[1]["checks"]["redis"]["status"] == "error"
    fronts.assert_no_clear_text()


@pytest.mark.parametrize(
    ("environ", "rule"),
    [
        ({"RABBITMQ_URL": "amqp://u:hidden@h/?cafile={ca}"}, "cafile needs amqps://"),
        ({"RABBITMQ_URL": "amqps://u:hidden@h/?cafile={none}"}, "cafile must name a readable file"),
        ({"RABBITMQ_URL": "amqps://u:hidden@h/?cafile={junk}"}, "certificates in PEM"),
        ({"RABBITMQ_URL": "amqps://u:hidden@h/?certfile={none}"}, "certfile must name a readable file"),
        ({"REDIS_URL": "redis://:hidden@h/0?ssl_ca_certs={ca}"}, "ssl_ca_certs needs rediss://"),
        ({"REDIS_URL": "rediss://:hidden@h/0?ssl_ca_certs={none}"}, "must name a readable file"),
        ({"REDIS_URL": "rediss://:hidden@h/0?cafile={ca}"}, "unknown parameter 'cafile'"),
        ({"DATABASE_URL": "postgresql://u:hidden@h/w?sslmode=verify_full"}, "sslmode must be one of"),
        ({"DATABASE_URL": "postgresql://u:hidden@h/w?sslrootcert={ca}"}, "needs sslmode=verify-full"),
        (
            {"DATABASE_URL": "postgresql://u:hidden@h/w?sslmode=prefer&sslrootcert={ca}"},
            "needs sslmode=verify-full",
        ),
        (
            {"DATABASE_URL": "postgresql://u:hidden@h/w?sslmode=verify-full&sslrootcert={none}"},
            "sslrootcert must name a readable file",
        ),
    ],
)
def test_a_url_that_would_not_be_checked_is_a_bad_setting(
    authority: Authority, tmp_path: Path, environ: Mapping[str, str], rule: str
) -> None:
    (tmp_path / "junk").write_text("junk")
    places = {"ca": authority.certificate, "none": tmp_path / "none", "junk": tmp_path / "junk"}
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({name: value.format(**places) for name, value in environ.items()})

    assert rule in str(refusal.value)
    assert "hidden" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_full_checks_without_an_authority_are_a_bad_setting(
    cluster: Cluster, processes: Processes, tmp_path: Path
) -> None:
    url = "postgresql://u:hidden@127.0.0.1:1/w?sslmode=verify-full"
    program = processes.start_shipped("scheduler", DATABASE_URL=url, HOME=str(tmp_path))
    assert await program.until_exit() == 2
    [said] = [message for message in program.messages() if "DATABASE_URL" in message]

    assert "root certificate file" in said


def findings(told: Any) -> list[dict[str, Any]]:
    """Doctor's findings."""
    return list(told["findings"])
