"""Carrying the topology to a server: declare it, or look whether it is there."""

from typing import cast

from aio_pika import ExchangeType
from aio_pika.abc import AbstractConnection
from aiormq.abc import FieldTable
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from shared.amqp.pika_link import open_channel
from shared.amqp.topology import Topology
from shared.errors import TopologyMissing


async def declare_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Declare all of it; idempotent. Raises TopologyMissing where the server holds other arguments."""
    async with await open_channel(connection, confirms=False) as channel:
        try:
            for exchange in topology.exchanges:
                await channel.declare_exchange(
                    exchange.name,
                    ExchangeType.TOPIC,
                    durable=True,
                    arguments=cast(FieldTable, exchange.arguments),
                )
            for queue in topology.queues:
                declared = await channel.declare_queue(
                    queue.name, durable=True, arguments=cast(FieldTable, queue.arguments)
                )
                for source, routing_key in queue.bindings:
                    await declared.bind(source, routing_key)
        except ChannelPreconditionFailed as error:
            raise TopologyMissing(
                f"RabbitMQ holds a queue or exchange with other arguments: {error}; "
                "delete it when it is empty, then run `wabus topology declare`"
            ) from error


async def find_missing(connection: AbstractConnection, topology: Topology) -> list[str]:
    """Name the exchanges and queues that the server does not have."""
    wanted = [("exchange", exchange.name) for exchange in topology.exchanges]
    wanted += [("queue", queue.name) for queue in topology.queues]
    return [f"{kind} {name}" for kind, name in wanted if not await _is_there(connection, kind, name)]


async def restore_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Declare all of it on a server that lost it: one that has the last queue has the others.

    Nothing else is asked, for after a restart every replica comes back at once.
    """
    if not await _is_there(connection, "queue", topology.queues[-1].name):
        await declare_topology(connection, topology)


async def check_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Raise TopologyMissing, naming what is missing and what to run."""
    missing = await find_missing(connection, topology)
    if missing:
        raise TopologyMissing(
            f"RabbitMQ lacks {len(missing)} of our queues and exchanges ({missing[0]}, …): "
            "run `wabus topology declare`"
        )


async def _is_there(connection: AbstractConnection, kind: str, name: str) -> bool:
    """A passive declare of something missing closes its channel, so each gets one of its own."""
    channel = await open_channel(connection, confirms=False)
    try:
        if kind == "exchange":
            await channel.declare_exchange(name, passive=True)
        else:
            await channel.declare_queue(name, passive=True)
    except ChannelNotFoundEntity:
        return False
    await channel.close()
    return True
