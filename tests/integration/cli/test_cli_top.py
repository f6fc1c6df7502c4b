"""`wabus top` as a program: what it shows of real servers, on a terminal and off one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.cluster import Cluster
from tests.support.program import run_wabus
from tests.support.proxy import Proxy
from tests.support.rows import add_campaign, add_message, insert
from tests.support.servers import Servers
from tests.support.terminal import LiveProgram, live_at_terminal
from tests.support.waiting import until

NOWHERE = "127.0.0.1:1"
TITLES = ("queues", "workers", "numbers", "campaigns", "dead letters")
ALL_ANSWER = "RabbitMQ answers · PostgreSQL answers"


@pytest.fixture
async def busy(cluster: Cluster) -> Cluster:
    """A cluster in which there is something of each kind to show."""
    conn = cluster.conn
    now = await conn.fetchval("select now()")
    await insert(conn, "leases", name="scheduler", owner=uuid4(), expires_at=now + timedelta(seconds=15))
    await insert(conn, "business_numbers", phone_number_id="1001", state="paused", reason="190 expired")
    await insert(conn, "circuit_breakers", service="1002", state="half_open")
    await add_campaign(conn, id="spring", status="running", phone_number_id="1001")
    await add_campaign(conn, id="winter", status="done")
    for customer, status in (("491700000001", "delivered"), ("491700000002", "pending")):
        await insert(conn, "broadcast_recipients", campaign_id="spring", wa_id=customer, status=status)
    message = await add_message(conn)
    for attempt in (1, 2):
        await insert(conn, "send_attempts", message_id=message, attempt=attempt, outcome="failed")
    await insert(
        conn,
        "deferred_messages",
        queue="outbound-sender",
        exchange="wa.outbound",
        routing_key="reply.1",
        body=b"{}",
        reason="number_paused",
        not_before=now - timedelta(seconds=90),
        phone_number_id="1001",
    )
    await insert(conn, "rows_set_aside", job="outbox", row_key="1", reason="broken")
    for status in ("pending", "pending", "dismissed"):
        await insert(
            conn, "dead_letter_queue", source_queue="x", reason="expired", raw_body=b"{", status=status
        )
    for _ in range(2):
        await cluster.publish("wa.status", "whatsapp", {"status": "sent"})

    async def is_ready() -> bool:
        return await cluster.depth("status-updater") == 2

    await until(is_ready)
    return cluster


def by(name: str, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row[name]: row for row in rows}


async def test_programs_get_all_of_it_as_one_object(busy: Cluster, servers: Servers) -> None:
    environ = busy.environment(RABBITMQ_MANAGEMENT_URL=servers.rabbitmq_management_url)

    outcome = await run_wabus("top", "--json", environ=environ)

    assert (outcome.code, outcome.err) == (0, "")
    told = outcome.json
    assert {source["error"] for source in told["sources"]} == {None}
    queue = by("queue", told["queues"])["status-updater"]
    assert (queue["ready"], queue["consumers"], queue["change_per_s"]) == (2, 0, 0)
    assert queue["waits_at_least_s"] >= 1
    assert queue["in_hand"] == 0
    assert set(queue["retrying"]) == {"5s", "30s", "2m", "10m"}
    [deferred] = told["deferred"]
    assert (deferred["reason"], deferred["messages"], deferred["overdue_s"] >= 90) == (
        "number_paused",
        1,
        True,
    )
    assert told["work"]["attempts_per_s"] == 0.2
    assert told["rows_set_aside"] == {"outbox": 1}
    workers = by("worker", told["workers"])
    assert (workers["status-updater"]["activity"], workers["scheduler"]["activity"]) == ("gone", "works")
    assert workers["outbound-sender"]["consumers"] == dict.fromkeys(
        ("outbound-sender", "outbound-sender.utility", "outbound-sender.bulk"), 0
    )
    numbers = by("phone_number_id", told["numbers"])
    assert (numbers["1001"]["state"], numbers["1001"]["waiting"]) == ("paused", 1)
    assert numbers["1002"]["breaker"] == "half_open"
    [campaign] = told["campaigns"]
    assert (campaign["id"], campaign["recipients"]["delivered"], campaign["recipients"]["pending"]) == (
        "spring",
        1,
        1,
    )
    assert campaign["holds"]

    assert told["dead_letters"] == {"expired": 2}


async def test_off_a_terminal_it_is_one_plain_page(busy: Cluster) -> None:
    async with busy.running("status-updater"):
        outcome = await run_wabus("top", environ=busy.environment())

    assert (outcome.code, outcome.err) == (0, "")
    assert "\x1b" not in outcome.out
    lines = outcome.out.splitlines()
    assert lines[0].endswith(ALL_ANSWER)
    keyed = {line.partition("  ")[0] for line in lines}
    assert {f"{key} {title}" for key, title in enumerate(TITLES, start=1)} <= keyed
    shown = {line.split()[0]: line.split()[1:] for line in lines}
    assert shown["1001"][:3] == ["paused", "closed", "1"]
    assert shown["spring"][:5] == ["running", "█████░░░░░", "1", "of", "2"]
    assert shown["expired"][:2] == ["2", "by"]
    assert ["status-updater", "1", "consumes", "0", "statuses/s"] in map(str.split, lines)

    assert ["outbound-sender", "0", "nobody", "consumes", "0.2", "sends/s"] in map(str.split, lines)


@pytest.mark.parametrize(
    ("variable", "url", "away"),
    [
        ("RABBITMQ_URL", f"amqp://someone:hidden@{NOWHERE}/", {"queues"}),
        ("RABBITMQ_MANAGEMENT_URL", f"http://someone:hidden@{NOWHERE}", {"rates"}),
        (
            "DATABASE_URL",
            f"postgresql://someone:hidden@{NOWHERE}/wabus",
            {"work", "numbers", "campaigns", "dead letters"},
        ),
    ],
)
async def test_a_server_that_is_away_costs_its_own_part_of_the_page_and_the_exit_code(
    variable: str, url: str, away: set[str], busy: Cluster
) -> None:
    outcome = await run_wabus("top", "--once", "--json", environ=busy.environment(**{variable: url}))

    assert (outcome.code, outcome.err) == (1, "")
    assert "hidden" not in outcome.out
    told = outcome.json
    assert {source["source"] for source in told["sources"] if source["error"]} == away
    shown = {
        name: told[name.replace(" ", "_")] for name in ("queues", "numbers", "campaigns", "dead letters")
    }

    assert {name for name, value in shown.items() if value is None} == away & shown.keys()


@pytest.fixture
async def proxies(busy: Cluster) -> AsyncIterator[dict[str, Proxy]]:
    """A way to each server that can be cut."""
    async with AsyncExitStack() as stack:
        urls = busy.environment()
        yield {
            name: await stack.enter_async_context(Proxy.before(urls[name]))
            for name in ("RABBITMQ_URL", "DATABASE_URL")
        }


async def until_shown(program: LiveProgram, *texts: str) -> None:
    await until(lambda: all(text in program.screen for text in texts))


async def test_on_a_terminal_it_hears_keys_and_survives_its_servers(
    busy: Cluster, proxies: dict[str, Proxy]
) -> None:
    environ = busy.environment()
    environ |= {name: proxy.url(environ[name]) for name, proxy in proxies.items()}
    with live_at_terminal(["top"], 80, 24, environ=environ) as program:
        await until_shown(program, ALL_ANSWER, *(f"{key} {name}" for key, name in enumerate(TITLES, 1)))
        assert not program.heeds_lines

        # Each key leads into its section, where there is more to see, and back
        for key, more in (
            ("2", "status-updater: 0 consumers"),
            ("3", "paused since"),
            ("4", "delivered 1, "),
            ("5", "attempts"),
            ("1", "in/s, out/s"),
        ):
            program.press(key)
            await until_shown(program, more, "Esc back")
        program.press("\x1b")
        await until_shown(program, "1 queues", "q quit")
        assert "Esc back" not in program.screen

        # While one server is away the other is told on
        proxies["DATABASE_URL"].refuse()
        await until_shown(program, "PostgreSQL is away", "RabbitMQ answers", "3 numbers, ", " old")
        await busy.publish("wa.status", "whatsapp", {"status": "sent"})
        await until(lambda: " 3 " in next(iter(lines_of(program, "status-updater"))))
        proxies["DATABASE_URL"].heal()
        proxies["RABBITMQ_URL"].refuse()
        await until_shown(program, "RabbitMQ is away", "PostgreSQL answers", "1 queues, ")
        proxies["RABBITMQ_URL"].heal()
        await until_shown(program, ALL_ANSWER)

        # A window that grows shows more
        assert max(map(len, program.screen.splitlines())) <= 80
        program.resize(140, 50)
        await until(lambda: "q quit" in "".join(program.screen.splitlines()[49:]))

        program.press("q")
        assert await program.wait() == 0
        assert program.heeds_lines
        assert "Traceback" not in program.written


def lines_of(program: LiveProgram, name: str) -> list[str]:
    return [line for line in program.screen.splitlines() if line.startswith(f"{name} ")] or [""]


async def test_ctrl_c_ends_it_well_even_while_no_server_answers() -> None:
    environ = {"RABBITMQ_URL": f"amqp://{NOWHERE}/", "DATABASE_URL": f"postgresql://{NOWHERE}/wabus"}
    with live_at_terminal(["top"], 80, 24, environ=environ) as program:
        await until_shown(program, "RabbitMQ is away", "PostgreSQL is away", "not known")

        program.press("\x03")

        assert await program.wait() == 0
        assert program.heeds_lines
        assert "Traceback" not in program.written
