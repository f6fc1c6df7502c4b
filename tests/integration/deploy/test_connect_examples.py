"""What `deploy/connect.md` promises, on real servers: its examples, its table, its users."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import pytest
import requests
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused

from shared.amqp.topology import BINDINGS, DLX, EVENTS, INGRESS, RETRY, SHOP, UNROUTED
from shared.payloads.examples import EXAMPLES
from tests.support.checkers import checker
from tests.support.cluster import Cluster
from tests.support.connect_page import PAGE, Row, commands, published
from tests.support.node_packages import node_modules
from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.sending import NUMBER, Sender
from tests.support.servers import Servers
from tests.support.waiting import until

FOLDER: Final = PAGE.parent / "examples"
PROGRAMS: Final = ("publish_aio_pika.py", "publish_pika.py", "publish_amqplib.js", "publish_curl.sh")
PASSWORD: Final = "only-for-this-test"
CUSTOMER: Final = "491700000001"


def command_of(program: str) -> list[str]:
    """As a person types it."""
    match program.rpartition(".")[2]:
        case "js":
            return [str(checker("node")), str(FOLDER / program)]
        case "sh":
            checker("curl")
            return ["sh", str(FOLDER / program)]
        case _:
            return [sys.executable, str(FOLDER / program)]


async def publish(
    program: str, url: str, exchange: str, routing_key: str, body: Any, management_url: str = ""
) -> tuple[int | None, str]:
    """Run an example as the user of `url`; its exit code and all that it printed."""
    environment = {
        "PATH": os.environ["PATH"],
        "RABBITMQ_URL": url,
        "RABBITMQ_MANAGEMENT_URL": management_url,
        "RABBITMQ_VHOST": urlsplit(url).path[1:],
    }
    if program.endswith(".js"):
        environment["NODE_PATH"] = str(await asyncio.to_thread(node_modules))
    process = await asyncio.create_subprocess_exec(
        *command_of(program),
        exchange,
        routing_key,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(json.dumps(body).encode())
    return process.returncode, output.decode()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_what_an_example_publishes_is_taken_by_a_worker(
    program: str, cluster: Cluster, servers: Servers
) -> None:
    [message, *_] = EXAMPLES["InboundMessage"]

    async with cluster.running("inbound-resolver"):
        done = await publish(
            program,
            cluster.rabbitmq_url,
            "wa.inbound",
            CUSTOMER,
            message,
            servers.rabbitmq_management_url,
        )
        await until(lambda: bool(cluster.told("inbound.enriched")))

    assert done == (0, "confirmed\n")
    [enriched] = cluster.told("inbound.enriched")

    assert (enriched["wamid"], enriched["message_text"]) == (message["wamid"], message["message_text"])


@pytest.mark.parametrize("program", PROGRAMS)
async def test_an_example_says_that_the_exchange_is_missing(
    program: str, virtual_host: str, servers: Servers
) -> None:
    url, management_url = virtual_host, servers.rabbitmq_management_url
    code, said = await publish(program, url, "wa.nothing", "k", {}, management_url)

    assert code == 1
    assert said.startswith("not confirmed: ")
    assert "404" in said or "NOT_FOUND" in said


@asynccontextmanager
async def full(cluster: Cluster, servers: Servers, queue: str) -> AsyncIterator[None]:
    """An operator's limit that the queue has reached."""
    host = urlsplit(cluster.rabbitmq_url).path[1:]
    policy = f"{servers.rabbitmq_management_url}/api/policies/{host}/full"
    limit: dict[str, Any] = {"pattern": f"^{queue}$", "definition": {"max-length": 1}, "apply-to": "queues"}
    await asyncio.to_thread(requests.put, policy, json=limit, timeout=30)
    try:
        yield
    finally:
        await asyncio.to_thread(requests.delete, policy, timeout=30)
        await (await cluster.channel.get_queue(queue, ensure=False)).purge()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_an_example_says_that_the_queue_is_full(
    program: str, cluster: Cluster, servers: Servers
) -> None:
    [message, *_] = EXAMPLES["InboundMessage"]
    url, management_url = cluster.rabbitmq_url, servers.rabbitmq_management_url

    async def refused() -> bool:
        code, said = await publish(program, url, "wa.inbound", CUSTOMER, message, management_url)
        return code == 1 and said.startswith("not confirmed: ")

    async with full(cluster, servers, "inbound-resolver"):
        await until(refused)

    done = await publish(program, url, "wa.inbound", CUSTOMER, message, management_url)
    assert done == (0, "confirmed\n")


def body_of(row: Row, wamid: str) -> dict[str, Any]:
    """What a gateway would write here: the schema's example about one customer and one conversation."""
    example = EXAMPLES[row.schema][0]
    match row.exchange, row.routing_key:
        case "wa.outbound", key:
            lane = key.partition(".")[0]
            told = {"client_message_id": f"{lane}-1", "message_text": "hello", "phone_number_id": NUMBER}
            to = {
                "reply": {"conversation_id": "c-1"},
                "utility": {"wa_id": f"{CUSTOMER[:-3]}907"},
                "bulk": {"conversation_id": "unknown yet"},
            }
            return told | to[lane]
        case "wa.status", "whatsapp":
            return {"wamid": wamid, "status": "delivered", "timestamp": "1714979299"}
        case "wa.status", _:
            return {"wamid": "wamid.A1", "status": "processed", "timestamp": "1714979299"}
        case "wa.broadcast", "campaign.launch":
            return example | {"batch_size": 1, "batch_delay_ms": 86_400_000}
        case "wa.broadcast", key:
            action = key.removeprefix("campaign.")
            at = {"pause": 1, "resume": 2, "cancel": 3}[action]
            return example | {"action": action, "requested_at": f"2024-05-06T07:08:0{at}Z"}
    return example


async def test_each_row_of_the_page_leads_to_its_events(sender: Sender) -> None:
    """Those of the page for shops wait for more than a publication."""
    cluster = sender.cluster
    rows = [row for row in published() if row.exchange != SHOP]
    closing = next(row for row in rows if row.schema == "ConversationClosed")
    order = ("wa.inbound", "wa.correlation", "wa.outbound", "wa.status", "wa.broadcast")
    rows = sorted((row for row in rows if row != closing), key=lambda row: order.index(row.exchange))
    workers = ("inbound-resolver", "outbound-sender", "status-updater", "broadcast-batcher")
    settings = {"WHATSAPP_API_URL": sender.url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER}
    heard: set[str] = set()

    async with cluster.running(*workers, **settings):
        for row in [*rows, closing]:
            before = {event: len(cluster.told(event)) for event in row.events}
            wamid = next((sent["wamid"] for sent in cluster.told("outbound.sent")), "")
            body = body_of(row, wamid)

            done = await publish(PROGRAMS[0], cluster.rabbitmq_url, row.exchange, row.routing_key, body)
            assert done == (0, "confirmed\n")
            await until(lambda: any(len(cluster.told(event)) > before[event] for event in before))  # noqa: B023
            heard |= {event for event in before if cluster.told(event)}

    assert heard == {event for row in rows for event in row.events} | set(closing.events)


@pytest.fixture
def users(own_rabbitmq: OwnRabbitMQ, tmp_path: Path) -> Iterator[str]:
    """The page's users, made by its own lines; the URL for a user of that name, to be filled in."""
    program = tmp_path / "rabbitmqctl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(own_rabbitmq.rabbitmqctl())} "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PASSWORD": PASSWORD}
    lines = commands("rabbitmqctl")
    try:
        subprocess.run(["sh", "-e"], input="\n".join(lines), text=True, env=environment, check=True)
        yield urlunsplit(
            urlsplit(own_rabbitmq.url)._replace(
                netloc=f"{{}}:{PASSWORD}@{own_rabbitmq.url.rpartition('@')[2].rstrip('/')}"
            )
        )
    finally:
        for name in ("gateway", "agents"):
            subprocess.run([str(program), "delete_user", name], check=True, capture_output=True)
        asyncio.run(empty(own_rabbitmq.url))


async def empty(url: str) -> None:
    """Take out what was published."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in BINDINGS:
            await (await channel.get_queue(queue, ensure=False)).purge()


async def is_refused(url: str, act: Callable[[AbstractChannel], Awaitable[object]]) -> bool:
    """Whether the user has no right to this."""
    async with await aio_pika.connect(url) as connection:
        try:
            await act(await connection.channel(on_return_raises=True))
        except ChannelAccessRefused:
            return True
    return False


async def publish_to(channel: AbstractChannel, exchange: str) -> None:
    target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    await target.publish(aio_pika.Message(b"{}"), "inbound-resolver", timeout=10)


async def read(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).get(no_ack=True, fail=False)


async def consume(channel: AbstractChannel, queue: str) -> None:
    async def take(message: AbstractIncomingMessage) -> None:
        raise AssertionError(f"nothing is published here: {message.routing_key}")

    await (await channel.get_queue(queue, ensure=False)).consume(take, no_ack=True)


async def drop(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).purge()


async def bind(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(EVENTS, "#")


async def test_the_pages_gateway_publishes_and_can_do_nothing_else(users: str) -> None:
    url = users.format("gateway")

    for row in published():
        body = EXAMPLES[row.schema][0]
        done = await publish(PROGRAMS[0], url, row.exchange, row.routing_key, body)
        assert (done == (0, "confirmed\n")) == (row.exchange != SHOP), (row, done)
    for exchange in (EVENTS, DLX, RETRY, UNROUTED, ""):
        assert await is_refused(url, lambda channel: publish_to(channel, exchange)), exchange  # noqa: B023
    for queue in (*BINDINGS, "inbound.enriched", "dlq-handler"):
        for act in (read, consume, drop, bind):
            assert await is_refused(url, lambda channel: act(channel, queue)), (act, queue)  # noqa: B023

    assert await is_refused(url, lambda channel: channel.declare_queue("mine"))
    assert await is_refused(url, lambda channel: channel.declare_queue(exclusive=True))
    assert await is_refused(url, lambda channel: channel.declare_exchange("mine"))
    assert await is_refused(url, lambda channel: channel.queue_delete("inbound-resolver"))
    assert await is_refused(url, lambda channel: channel.exchange_delete("wa.inbound"))


async def test_the_pages_agents_read_enriched_messages_and_nothing_else(users: str) -> None:
    url = users.format("agents")

    assert not await is_refused(url, lambda channel: consume(channel, "inbound.enriched"))
    assert await is_refused(url, lambda channel: read(channel, "inbound-resolver"))
    assert await is_refused(url, lambda channel: channel.declare_queue("mine"))
    allowed = {row.exchange for row in published() if row.who == "agent platform's gateway"}
    for exchange in INGRESS:
        refused = await is_refused(url, lambda channel: publish_to(channel, exchange))  # noqa: B023
        assert refused == (exchange not in allowed), exchange
