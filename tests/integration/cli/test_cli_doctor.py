"""`wabus doctor` as a program: what it finds on real servers, well, ill and away."""

import asyncio
import json
import shlex
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from shared.amqp.client import open_session
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, WORK_QUEUES, build_topology
from tests.support.before import add_people_of_before
from tests.support.cluster import Cluster, new_virtual_host
from tests.support.notices import add_cart
from tests.support.program import Outcome, run_wabus
from tests.support.rows import Connection, insert
from tests.support.servers import Servers
from tests.support.waiting import until

SUBJECTS: Final = {
    "RABBITMQ_URL": "rabbitmq",
    "DATABASE_URL": "postgresql",
    "REDIS_URL": "redis",
    "WHATSAPP_API_URL": "cloud-api",
}


@pytest.fixture(scope="module")
def virtual_host(servers: Servers) -> Iterator[str]:
    """With the topology of production, to which doctor compares."""
    with new_virtual_host(servers) as url:
        asyncio.run(declare(url))
        yield url


async def declare(url: str) -> None:
    async with open_session(url) as session:
        await session.declare(build_topology())


@pytest.fixture
async def api_url() -> AsyncIterator[str]:
    """An HTTP server that knows nothing: any answer tells that it is reached."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def environ(cluster: Cluster, api_url: str) -> dict[str, str]:
    """A prepared cluster."""
    return {
        "RABBITMQ_URL": cluster.rabbitmq_url,
        "DATABASE_URL": cluster.database_url,
        "REDIS_URL": cluster.redis_url,
        "WHATSAPP_API_URL": api_url,
        "WHATSAPP_ACCESS_TOKEN": "hidden",
    }


async def run(environ: dict[str, str], *arguments: str) -> Outcome:
    outcome = await run_wabus("doctor", *arguments, environ=environ)
    assert "hidden" not in outcome.out + outcome.err
    return outcome


async def find(environ: dict[str, str]) -> list[dict[str, Any]]:
    outcome = await run(environ, "--json")
    assert outcome.err == ""
    findings: list[dict[str, Any]] = outcome.json["findings"]
    levels = {finding["level"] for finding in findings}
    assert outcome.code == (1 if "error" in levels else 0)
    return findings


def levels_of(findings: list[dict[str, Any]], subject: str, check: str) -> list[str]:
    return [item["level"] for item in findings if (item["subject"], item["check"]) == (subject, check)]


def ills(findings: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(item["subject"], item["check"], item["level"]) for item in findings if item["level"] != "ok"]


def only(findings: list[dict[str, Any]], subject: str, check: str) -> dict[str, Any]:
    (finding,) = (item for item in findings if (item["subject"], item["check"]) == (subject, check))
    return finding


async def hold_lease(conn: Connection, ends_in_s: float = 15) -> None:
    ends = await conn.fetchval("select now()") + timedelta(seconds=ends_in_s)
    await insert(conn, "leases", name="scheduler", owner=uuid4(), expires_at=ends)


@asynccontextmanager
async def consuming(url: str, *queues: str) -> AsyncIterator[None]:
    """A consumer on each of the queues."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for name in queues:
            queue = await channel.get_queue(name, ensure=False)
            await queue.consume(drop, no_ack=True)
        yield


async def drop(message: AbstractIncomingMessage) -> None:
    pass


async def test_where_all_is_well_it_says_so(environ: dict[str, str], conn: Connection) -> None:
    await hold_lease(conn)
    async with consuming(environ["RABBITMQ_URL"], *WORK_QUEUES, DLQ_HANDLER, ENRICHED):
        outcome = await run(environ)
        started = time.perf_counter()
        told = (await run(environ, "--json")).json
        took_ms = (time.perf_counter() - started) * 1000

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("All is well.\n")
    assert "\x1b" not in outcome.out
    assert told["status"] == "ok"
    for subject, check in (("rabbitmq", "publishing"), ("postgresql", "connections"), ("redis", "writable")):
        assert levels_of(told["findings"], subject, check) == ["ok"]
    servers = {item["server"]: item for item in told["servers"]}

    assert set(servers) == set(SUBJECTS.values())
    assert all(item["reached"] and 0 < item["latency_ms"] < took_ms for item in servers.values())
    assert all(servers[name]["version"] for name in ("rabbitmq", "postgresql", "redis"))


async def test_what_an_empty_stack_lacks_is_mended_by_the_commands_it_names(
    servers: Servers, empty_database: str, redis_url: str, api_url: str
) -> None:
    with new_virtual_host(servers) as rabbitmq_url:
        environ = {
            "RABBITMQ_URL": rabbitmq_url,
            "DATABASE_URL": empty_database,
            "REDIS_URL": redis_url,
            "WHATSAPP_API_URL": api_url,
        }
        findings = await find(environ)
        assert levels_of(findings, "rabbitmq", "topology") == ["error"]
        assert levels_of(findings, "postgresql", "schema") == ["error"]

        for subject, check in (("rabbitmq", "topology"), ("postgresql", "schema")):
            _, *command = shlex.split(only(findings, subject, check)["mend"])
            assert (await run_wabus(*command, environ=environ)).code == 0

        findings = await find(environ)

        assert levels_of(findings, "rabbitmq", "topology") == ["ok"]
        assert levels_of(findings, "postgresql", "schema") == ["ok"]


async def test_queues_without_a_consumer_are_named_with_the_worker_to_start(
    environ: dict[str, str], cluster: Cluster
) -> None:
    # Given consumers on all but two queues, into one of which a message comes
    await cluster.publish("wa.status", "whatsapp", {"status": "sent"})
    others = [name for name in (*WORK_QUEUES, DLQ_HANDLER) if name not in ("status-updater", "dlq-handler")]
    await until_ready(cluster, "status-updater")
    async with consuming(environ["RABBITMQ_URL"], *others):
        # When
        findings = await find(environ)
    # Then
    lonely = {
        item["mend"]: item["level"]
        for item in findings
        if item["check"] == "consumers" and not item["detail"].startswith(ENRICHED)
    }
    assert lonely == {"wabus worker status-updater": "error", "wabus worker dlq-handler": "warn"}
    enriched = [item for item in findings if item["detail"].startswith(ENRICHED)]

    assert [item["level"] for item in enriched] == ["warn"]
    assert not [
        item for item in await find(environ | {"ENRICHED_QUEUE": "off"}) if ENRICHED in item["detail"]
    ]


async def until_ready(cluster: Cluster, queue: str) -> None:
    async def is_ready() -> bool:
        return await cluster.depth(queue) == 1

    await until(is_ready)


@pytest.mark.parametrize(("ends_in_s", "level"), [(15, "ok"), (-20, "ok"), (-90, "error"), (None, "warn")])
async def test_a_scheduler_that_is_gone_for_a_minute_is_an_error(
    ends_in_s: float | None, level: str, environ: dict[str, str], conn: Connection
) -> None:
    if ends_in_s is not None:
        await hold_lease(conn, ends_in_s)

    finding = only(await find(environ), "work", "scheduler")

    assert finding["level"] == level
    assert finding["mend"] == (None if level == "ok" else "wabus worker scheduler")


async def test_what_is_paused_open_late_or_dead_is_named(environ: dict[str, str], conn: Connection) -> None:
    # Given one thing of each kind that is not well, and beside it one that is
    await hold_lease(conn)
    now = await conn.fetchval("select now()")
    await insert(conn, "business_numbers", phone_number_id="1001", state="paused", reason="190 expired")
    await insert(conn, "business_numbers", phone_number_id="1002")
    await insert(conn, "circuit_breakers", service="1003", state="open", failures=5)
    await insert(conn, "circuit_breakers", service="1004")
    for age_s in (30, 90):
        at = now - timedelta(seconds=age_s)
        await insert(
            conn,
            "deferred_messages",
            queue="outbound-sender",
            exchange="wa.outbound",
            routing_key="reply.1",
            body=b"{}",
            reason="rate_limit",
            not_before=at,
        )
        await insert(
            conn,
            "outbox_events",
            aggregate_id="1",
            aggregate_type="message",
            event_type="message.updated",
            payload="{}",
            created_at=at,
        )
        await add_cart(conn, cart_id=f"{age_s}", customer_phone=None, next_step_at=at)
        await insert(
            conn,
            "notification_log",
            shop_id="default",
            kind="cart",
            notification_type="cart_reminder_1",
            dedupe_key=f"{age_s}",
            category="marketing",
            not_before=at,
        )
    for status in ("pending", "dismissed"):
        await insert(
            conn,
            "dead_letter_queue",
            source_queue="status-updater",
            reason="expired",
            raw_body=b"{",
            status=status,
        )
    # When
    findings = [item for item in await find(environ) if item["subject"] == "work" and item["level"] != "ok"]
    # Then
    told = {item["check"]: (item["level"], item["detail"].partition(" for ")[0]) for item in findings}
    assert len(findings) == len(told)
    assert told["numbers"][1].startswith("1001 is paused since ")
    assert told["numbers"][1].endswith("190 expired")
    assert told["breakers"][1].startswith("1003 is open")
    assert told["deferred"][1].endswith("1 rate_limit")
    assert told["outbox"][1].startswith("1 events are not published")
    assert told["carts"][1] == told["notices"][1] == "1 are overdue, the oldest"
    assert told["dead letters"][1] == "pending: 1 expired"
    assert {level for level, _ in told.values()} == {"warn"}
    mends = {item["check"]: item["mend"] for item in findings}

    assert mends["numbers"] == "wabus number resume 1001"
    assert mends["notices"] == "wabus worker notifier; wabus worker scheduler"
    assert mends["dead letters"] == "wabus dlq list"


async def test_numbers_without_a_token_are_named(environ: dict[str, str], tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    numbers.write_text(json.dumps({"2001": {"token": "hidden"}, "2002": {}}))
    del environ["WHATSAPP_ACCESS_TOKEN"]

    finding = only(await find(environ | {"WHATSAPP_NUMBERS_FILE": str(numbers)}), "cloud-api", "token")

    assert (finding["level"], finding["detail"]) == ("warn", "none for 2002: nothing can be sent")


async def test_a_bad_setting_exits_2() -> None:
    outcome = await run({"REDIS_URL": "http://127.0.0.1"})

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("wabus: REDIS_URL")


async def test_help_shows_an_example() -> None:
    outcome = await run({}, "--help")

    assert outcome.code == 0
    assert "wabus doctor --json" in outcome.out.partition("Example:")[2]


async def test_how_far_rows_of_before_are_read_is_told(environ: dict[str, str], conn: Connection) -> None:
    await add_people_of_before(conn, 3)
    await conn.execute(
        "update schema_migrations set applied_at = now() - interval '20 minutes' where version = 2"
    )
    untouched = only(await find(environ), "work", "identity")
    await conn.execute("update conversation_mappings set customer = wa_id where wa_id ~ '^49'")
    half = only(await find(environ), "work", "identity")
    await conn.execute("delete from conversation_mappings where customer is null")
    done = only(await find(environ), "work", "identity")

    assert untouched["detail"].startswith("0 of 18 conversations are read:")
    assert half["detail"].startswith("6 of 18 conversations are read, about 40 min:")
    assert done["detail"] == "every conversation names its customer"
    assert {item["level"] for item in (untouched, half, done)} == {"ok"}
