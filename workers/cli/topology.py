"""`wabus topology declare|check`: the exchanges and queues on the broker."""

import asyncio
import sys

import aio_pika
import click
import orjson
from aio_pika.abc import AbstractConnection

from shared.amqp.declare import declare_topology, find_missing
from shared.amqp.pika_link import BROKER_ERRORS
from shared.amqp.topology import Topology, build_topology
from shared.settings import Settings
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
    """Say which exchanges and queues are missing; exits 1 if any is.

    \b
    Example:
      wabus topology check --json
    """
    settings = read_settings()
    missing = asyncio.run(_check(settings, build_topology(enriched_queue=settings.enriched_queue)))
    if as_json:
        click.echo(orjson.dumps({"missing": missing}))
    else:
        click.echo("\n".join(f"missing: {name}" for name in missing) or "nothing is missing")
    sys.exit(1 if missing else 0)


async def _declare(settings: Settings, wanted: Topology) -> None:
    connection = await _connect(settings)
    async with connection:
        await declare_topology(connection, wanted)


async def _check(settings: Settings, wanted: Topology) -> list[str]:
    connection = await _connect(settings)
    async with connection:
        return await find_missing(connection, wanted)


async def _connect(settings: Settings) -> AbstractConnection:
    url = settings.rabbitmq_url.get_secret_value()
    try:
        return await aio_pika.connect(url, timeout=10)
    except BROKER_ERRORS as error:
        raise unreached_broker(url, error) from error
