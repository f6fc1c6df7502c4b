"""`wabus topology declare|check`: the exchanges and queues on the broker."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

import click
import orjson

from shared.amqp.client import open_session
from shared.amqp.session import Comparison, Session
from shared.amqp.topology import Topology, build_topology
from shared.errors import BrokerUnavailable
from shared.settings.settings import Settings
from workers.cli.diagnosis.bindings import Bindings, look_at_bindings
from workers.cli.operation import read_settings, silence_logs, unreached_broker


@click.group()
def topology() -> None:
    """Declare or check exchanges and queues.

    \b
    Example:
      wabus topology declare
    """
    silence_logs()


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@topology.command()
@_json
def declare(*, as_json: bool) -> None:
    """Declare every exchange, queue and binding; safe to repeat.

    \b
    Example:
      wabus topology declare
    """
    settings = read_settings()
    wanted = build_topology(enriched_queue=settings.enriched_queue)
    asyncio.run(_declare(settings, wanted))
    exchanges, queues = len(wanted.exchanges), len(wanted.queues)
    if as_json:
        click.echo(orjson.dumps({"exchanges": exchanges, "queues": queues}))
    else:
        click.echo(f"declared {exchanges} exchanges and {queues} queues")


@topology.command()
@_json
def check(*, as_json: bool) -> None:
    """Compare exchanges, queues and bindings with what is needed; exits 1 where anything is not so.

    Type, durability and arguments are compared over AMQP. Bindings can only be seen through the management
    plugin, at RABBITMQ_MANAGEMENT_URL; `wabus topology declare` and each start of a worker bind anew.

    \b
    Example:
      wabus topology check --json
    """
    settings = read_settings()
    wanted = build_topology(enriched_queue=settings.enriched_queue)
    compared, bindings = asyncio.run(_check(settings, wanted))
    if as_json:
        click.echo(orjson.dumps(asdict(compared) | {"unbound": bindings.lost, "bindings": bindings.told}))
    else:
        lines = [f"missing: {name}" for name in compared.missing]
        lines += [f"different: {name}" for name in compared.different]
        lines += [f"not bound: {name}" for name in bindings.lost]
        lines = lines or ["nothing is missing or different"]
        if compared.forbidden:
            lines.append(f"not compared for want of the right to configure: {', '.join(compared.forbidden)}")
        click.echo("\n".join([*lines, f"bindings: {bindings.told}"]))
    sys.exit(1 if compared.missing or compared.different or bindings.lost else 0)


async def _declare(settings: Settings, wanted: Topology) -> None:
    async with _session(settings) as session:
        await session.declare(wanted)


async def _check(settings: Settings, wanted: Topology) -> tuple[Comparison, Bindings]:
    async with _session(settings) as session:
        compared = await session.compare(wanted)
    return compared, await look_at_bindings(settings, wanted)


@asynccontextmanager
async def _session(settings: Settings) -> AsyncIterator[Session]:
    url = settings.rabbitmq_url.get_secret_value()
    try:
        async with open_session(url) as session:
            yield session
    except BrokerUnavailable as error:
        raise unreached_broker(url, error) from error
