"""Worker processes that start: on bad settings, on unprepared servers, before their servers."""

import asyncio
import socket
from collections.abc import Mapping

import pytest

from tests.support.cluster import Cluster, new_virtual_host
from tests.support.http import get
from tests.support.processes import Processes, Program
from tests.support.proxy import Proxy
from tests.support.servers import Servers
from tests.support.waiting import until
from workers.registry import WORKER_NAMES


@pytest.mark.parametrize(
    ("name", "environ", "names"),
    [
        ("inbound-resolver", {"RABBITMQ_URL": "http://127.0.0.1"}, "RABBITMQ_URL"),
        ("status-updater", {"DATABASE_URL": "mysql://127.0.0.1/x"}, "DATABASE_URL"),
        ("scheduler", {"EXPIRY_JOB_INTERVAL_MINUTES": "soon"}, "EXPIRY_JOB_INTERVAL_MINUTES"),
        ("dlq-handler", {"BATCH_SIZE": "0"}, "BATCH_SIZE"),
        ("outbound-sender", {"WHATSAPP_ACCESS_TOKEN": ""}, "WHATSAPP_ACCESS_TOKEN"),
        ("broadcast-batcher", {"METRICS_HOST": "203.0.113.7"}, "METRICS_"),
        ("no-such-worker", {}, "no-such-worker"),
    ],
)
async def test_a_bad_setting_is_one_line_and_exit_2(
    cluster: Cluster, processes: Processes, name: str, environ: Mapping[str, str], names: str
) -> None:
    program = processes.start(name, None, **environ)
    assert await program.until_exit() == 2
    assert_one_line(program, names)


async def test_a_port_that_is_taken_is_one_line_and_exit_2(cluster: Cluster, processes: Processes) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        program = processes.start_shipped("dlq-handler", METRICS_PORT=str(taken.getsockname()[1]))
        assert await program.until_exit() == 2
    assert_one_line(program, "METRICS_PORT")


async def test_a_database_without_our_schema_is_one_line_and_exit_1(
    cluster: Cluster, processes: Processes, empty_database: str
) -> None:
    started = [processes.start(name, DATABASE_URL=empty_database) for name in WORKER_NAMES]
    for program in started:
        assert await program.until_exit() == 1
        assert_one_line(program, "run `wabus migrate` first")


async def test_a_schema_of_a_newer_program_is_one_line_and_exit_1(
    cluster: Cluster, processes: Processes
) -> None:
    await cluster.conn.execute(
        "insert into schema_migrations (version, name, checksum) values (999, 'of the future', '')"
    )
    program = processes.start_shipped("inbound-resolver")
    assert await program.until_exit() == 1
    assert_one_line(program, "is at version 999")


async def test_a_broker_without_our_queues_is_one_line_and_exit_1(
    cluster: Cluster, processes: Processes, servers: Servers
) -> None:
    with new_virtual_host(servers) as url:
        started = [processes.start(name, RABBITMQ_URL=url) for name in WORKER_NAMES]
        for program in started:
            assert await program.until_exit() == 1
            assert_one_line(program, "run `wabus topology declare`")


async def test_workers_wait_for_their_servers_and_tell_how_they_are(
    cluster: Cluster, processes: Processes
) -> None:
    async with (
        Proxy.before(cluster.rabbitmq_url) as broker,
        Proxy.before(cluster.database_url) as database,
        Proxy.before(cluster.redis_url) as redis,
    ):
        proxies = (broker, database, redis)
        for proxy in proxies:
            proxy.refuse()
        cluster.environ |= {
            "RABBITMQ_URL": broker.url(cluster.rabbitmq_url),
            "DATABASE_URL": database.url(cluster.database_url),
            "REDIS_URL": redis.url(cluster.redis_url),
        }
        urls = {name: await processes.start(name).url() for name in WORKER_NAMES}
        await assert_all(urls, live=200, ready=503, health=503, status="unhealthy")

        for proxy in proxies:
            proxy.heal()
        await until_all_ready(urls)
        await assert_all(urls, live=200, ready=200, health=200, status="healthy")
        await assert_metrics(urls)

        redis.refuse()
        await assert_all(urls, live=200, ready=200, health=200, status="degraded", failed="redis")
        redis.heal()

        database.refuse()
        await assert_all(urls, live=200, ready=503, health=503, status="unhealthy", failed="database")
        database.heal()
        await until_all_ready(urls)

        broker.refuse()
        await assert_all(urls, live=200, ready=503, health=503, status="unhealthy", failed="rabbitmq")
        broker.heal()
        await until_all_ready(urls)


def assert_one_line(program: Program, text: str) -> None:
    """What is wrong is said once, with its remedy, and without a traceback."""
    said = [message for message in program.messages() if text in message]
    assert len(said) == 1, program.messages()
    assert "Traceback" not in program.log.read_text()


async def until_all_ready(urls: Mapping[str, str]) -> None:
    """Wait until every worker is ready."""

    async def are_ready() -> bool:
        answers = await asyncio.gather(*(get(url, "/health/ready") for url in urls.values()))
        return all(status == 200 for status, _ in answers)

    await until(are_ready)


async def assert_all(
    urls: Mapping[str, str], *, live: int, ready: int, health: int, status: str, failed: str | None = None
) -> None:
    """Wait until every worker answers so: health is read when it is asked for, and servers go one by one."""

    async def are_so() -> bool:
        return all([await _is_so(url, (live, ready, health), status, failed) for url in urls.values()])

    await until(are_so)


async def _is_so(url: str, codes: tuple[int, int, int], status: str, failed: str | None) -> bool:
    answers = [await get(url, path) for path in ("/health/live", "/health/ready", "/health")]
    verdict = answers[2][1]
    assert set(verdict) >= {"status", "timestamp", "checks", "uptime_seconds"}
    assert set(verdict["checks"]) == {"database", "redis", "rabbitmq", "circuits"}
    checks = verdict["checks"]
    blamed = failed is None or checks[failed]["status"] == "error"
    return blamed and tuple(code for code, _ in answers) == codes and verdict["status"] == status


async def assert_metrics(urls: Mapping[str, str]) -> None:
    """Every worker shows its own metrics."""
    for name, url in urls.items():
        code, exposed = await get(url, "/metrics")
        assert code == 200
        assert f'wabus_last_progress_timestamp_seconds{{worker="{name}"}}' in exposed
