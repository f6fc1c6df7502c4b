"""A cluster whose servers are its own, every worker once, and a Prometheus that watches them.

Prometheus and workers are ten times as fast as shipped: `tests.support.prometheus_server`, pace `watched`.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aio_pika
import aiohttp
import asyncpg
import orjson
import pytest

from deploy import stack
from deploy.stack import Kind, ServerRecord, Source
from schema.migrator import migrate
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from tests.support.paces import WATCHED
from tests.support.processes import Program
from tests.support.prometheus_server import PrometheusServer, running_prometheus
from tests.support.servers import keep_rabbitmq_in_memory, quiet_machine, stack_root
from tests.support.starting import ForkedProcess, Streams
from tests.support.waiting import until
from workers.registry import WORKER_NAMES

NUMBER: Final = "1001"
#: Exchange, routing key and body.
Sent = tuple[str, str, dict[str, Any]]


@dataclass
class Watched:
    """The running cluster, and what a test does to it."""

    root: Path
    servers: dict[Kind, ServerRecord]
    api: str
    prometheus: PrometheusServer
    _customers: Iterator[int] = field(default_factory=lambda: iter(range(800)))

    @asynccontextmanager
    async def alerting(self, *alerts: str) -> AsyncIterator[None]:
        """What is broken in the block brings these alerts and no other, until it is healed."""
        await self.prometheus.until_firing()
        began = time.monotonic()
        yield
        await self.prometheus.until_firing()
        assert await self.prometheus.fired(time.monotonic() - began) == set(alerts)

    async def end(self, kind: Kind, how: signal.Signals) -> None:
        """End one of the servers."""
        await asyncio.to_thread(stack.end_server, self.root, kind, how)

    async def start(self, kind: Kind) -> None:
        """Start it again, where it was, and wait until it answers."""
        await asyncio.to_thread(stack.start_server, self.root, kind)

    async def converse(self, customers: int) -> None:
        """From each of these customers a message, and to each a reply; statuses and correlations of them."""
        await self.publish(
            *(message for _ in range(customers) for message in conversation(next(self._customers)))
        )

    async def publish(self, *messages: Sent) -> None:
        """Publish each, with the time: without one no wait in a queue is measured."""
        async with await aio_pika.connect(self.servers[Kind.RABBITMQ].url) as connection:
            channel = await connection.channel()
            for exchange, routing_key, body in messages:
                target = await channel.get_exchange(exchange, ensure=False)
                message = aio_pika.Message(orjson.dumps(body), timestamp=time.time())
                await target.publish(message, routing_key)

    async def execute(self, statement: str) -> None:
        """In the workers' database."""
        connection = await asyncpg.connect(self.servers[Kind.POSTGRES].url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def set_api(self, fault: dict[str, Any] | None) -> None:
        """Let the Cloud API have a fault, or none."""
        async with aiohttp.ClientSession() as client:
            url = f"{self.api}/_sandbox/settings"
            async with client.put(url, json={"fault": fault}) as answer:
                answer.raise_for_status()


def conversation(number: int) -> Iterator[Sent]:
    """What a customer writes, and what the agents' side then says of it: a status, a correlation, a reply."""
    customer, wamid, now = f"4917000000{number:03}", f"wamid.{number}", int(time.time())
    yield (
        "wa.inbound",
        customer,
        {
            "wamid": wamid,
            "wa_id": customer,
            "timestamp": now,
            "phone_number_id": NUMBER,
            "message_text": "hello",
        },
    )
    yield "wa.status", "genesys", {"wamid": wamid, "status": "processed", "timestamp": now}
    yield (
        "wa.correlation",
        "genesys",
        {"whatsapp_message_id": wamid, "conversation_id": f"c{number}", "communication_id": f"m{number}"},
    )
    yield (
        "wa.outbound",
        f"reply.{customer}",
        {
            "wa_id": customer,
            "phone_number_id": NUMBER,
            "client_message_id": f"reply {number}",
            "message_text": "hi",
        },
    )


@contextmanager
def watched_cluster(
    folder: Path, rule_files: Sequence[str], shops: Mapping[str, Any] | None = None
) -> Iterator[Watched]:
    """Start all of it; these rules of `deploy/prometheus/` are evaluated.

    `shops`: what SHOPS_FILE says. The sandbox then tells statuses: a reminder counts once it is `sent`.
    """
    with ExitStack() as cleanup:
        root = cleanup.enter_context(stack_root())
        keep_rabbitmq_in_memory(root)
        environ = {"PATH": os.environ["PATH"]}
        state = stack.up(root, environ, lambda _: None, quiet_machine(environ))
        if any(server.source is not Source.NATIVE for server in state.servers.values()):
            pytest.skip("not run: what runs in a container cannot be killed and started again here")
        environ |= {**state.urls(), "WHATSAPP_ACCESS_TOKEN": "secret-token"}
        if shops is not None:
            (folder / "shops.json").write_bytes(orjson.dumps(shops))
            environ["SHOPS_FILE"] = str(folder / "shops.json")
        programs = _Programs(folder, environ)
        cleanup.callback(programs.end)
        api, workers = asyncio.run(_begin(state.urls(), programs))
        plugin = state.servers[Kind.RABBITMQ].metrics
        assert plugin is not None
        prometheus = cleanup.enter_context(running_prometheus(folder, workers, plugin, rule_files))
        asyncio.run(until(prometheus.is_ready))
        yield Watched(root, state.servers, api, prometheus)


class _Programs:
    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self.environ = environ
        self._started: list[Program] = []

    def start(self, module: str, *arguments: str) -> Program:
        log = self._folder / f"{arguments[0]}.log"
        log.touch()
        program = Program(ForkedProcess(module, arguments, self.environ, Streams(log, log)), log)
        self._started.append(program)
        return program

    def end(self) -> None:
        for program in self._started:
            program.end()


async def _begin(urls: dict[str, str], programs: _Programs) -> tuple[str, dict[str, str]]:
    """The Cloud API's URL, and where each worker shows its metrics, once all of them work."""
    await migrate(urls["DATABASE_URL"])
    async with open_session(urls["RABBITMQ_URL"]) as session:
        await session.declare(build_topology(WATCHED, enriched_queue=False))
    statuses = ("--statuses", "amqp") if "SHOPS_FILE" in programs.environ else ()
    sandbox = programs.start("workers.__main__", "sandbox", "--json", *statuses)
    await until(lambda: bool(sandbox.lines()))
    api = str(sandbox.lines()[0]["url"])
    programs.environ |= {"WHATSAPP_API_URL": api, "METRICS_PORT": "0", "ENRICHED_QUEUE": "off"}
    workers = {
        name: programs.start("tests.support.crashing", name, "--pace", "watched") for name in WORKER_NAMES
    }
    for program in workers.values():
        await program.until_ready()
    return api, {name: (await program.url()).removeprefix("http://") for name, program in workers.items()}
