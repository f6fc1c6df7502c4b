"""Carrying the topology to a server: declare it, look whether it is there as we need it, ask for a queue.

A declaration of what is there already changes nothing, and RabbitMQ names what differs (type, durability,
arguments). So looking is declaring what is known to exist. Bindings cannot be seen over AMQP: a start binds
anew, which is harmless where they are there.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final, cast

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import ChannelFrame, FieldTable
from aiormq.exceptions import (
    AMQPChannelError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp import commands as spec
from pamqp.base import Frame

from shared.amqp.broker import QueueState
from shared.amqp.pika.calling import open_channel, underlay
from shared.amqp.session import Comparison
from shared.amqp.topology import Exchange, Queue, Topology
from shared.errors import TopologyForbidden, TopologyMissing

#: What RabbitMQ says of a right that is missing; it names the right itself from 3.13 on.
_REFUSED: Final = re.compile(r"access to (\w+) '(.*)' in vhost '(.*)' refused for user '(.*?)'")
_OTHER_DELAY: Final = re.compile(r"'x-message-ttl'.*current is '(\d+)'")
_REASON: Final = re.compile(r"[A-Z]+_[A-Z]+ - [^\"]*")
#: What RabbitMQ tells of a quorum queue that did not answer it in time.
_SILENT: Final = QueueState(0, 0)
_STAT_S: Final = 0.25


async def declare_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Declare all of it; idempotent.

    Raises TopologyMissing where the server holds something else under a name of ours, TopologyForbidden where
    the user lacks a right.
    """
    async with await open_channel(connection, confirms=False) as channel:
        for item in topology.items:
            async with _explained(f"declare {_name_of(item)}", {_name_of(item): "configure"}):
                await _declare(channel, item)
        for queue in topology.queues:
            for source, routing_key in queue.bindings:
                task = f"bind queue {queue.name} to exchange {source}"
                async with _explained(task, {f"exchange {source}": "read"}):
                    bound = await channel.get_queue(queue.name, ensure=False)
                    await bound.bind(source, routing_key)


async def compare_topology(connection: AbstractConnection, topology: Topology) -> Comparison:
    """Look at each exchange and queue; nothing is changed. Bindings are not looked at."""
    missing: list[str] = []
    different: list[str] = []
    forbidden: list[str] = []
    for item in topology.items:
        if not await _is_there(connection, item):
            missing.append(_name_of(item))
            continue
        try:
            difference = await _compare(connection, item)
        except ChannelAccessRefused:
            forbidden.append(_name_of(item))
            continue
        if difference is not None:
            different.append(f"{_name_of(item)}: {difference}")
    return Comparison(missing, different, forbidden)


async def _compare(connection: AbstractConnection, item: Exchange | Queue) -> str | None:
    """The first difference of what is there; None where there is none."""
    try:
        async with await open_channel(connection, confirms=False) as channel:
            await _declare(channel, item)
    except ChannelPreconditionFailed as error:
        return _difference(error)
    return None


async def find_missing(connection: AbstractConnection, topology: Topology) -> list[str]:
    """Name the exchanges and queues that the server does not have, asked for one by one on one channel."""
    missing: list[str] = []
    left = deque(topology.items)
    while left:
        async with await open_channel(connection, confirms=False) as channel:
            while left:
                item = left.popleft()
                try:
                    await _ask_for(channel, item)
                except ChannelNotFoundEntity:  # what is missing closes the channel
                    missing.append(_name_of(item))
                    break
    return missing


async def restore_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Declare all of it on a server that lost it: one that has the last queue has the others.

    Nothing else is asked, for after a restart every replica comes back at once.
    """
    if not await _is_there(connection, topology.queues[-1]):
        await declare_topology(connection, topology)


async def check_topology(connection: AbstractConnection, topology: Topology) -> None:
    """Raise TopologyMissing, naming what is missing or otherwise than we need it; bind anew what was lost.

    A tier that holds its messages longer or shorter than this program would is no reason: releases may differ
    in that, and run beside each other. A user without the right to declare can see names alone. Of both
    `wabus doctor` tells.
    """
    if await _is_as_needed(connection, topology):
        return
    missing = await find_missing(connection, topology)
    if missing:
        raise TopologyMissing(
            f"RabbitMQ lacks {len(missing)} of our queues and exchanges ({missing[0]}, …): "
            "run `wabus topology declare`"
        )
    try:
        await declare_topology(connection, topology)
    except TopologyForbidden:
        return
    except TopologyMissing:
        queues = [await _with_its_delay(connection, queue) for queue in topology.queues]
        await declare_topology(connection, Topology(topology.exchanges, tuple(queues)))


async def _is_as_needed(connection: AbstractConnection, topology: Topology) -> bool:
    """Whether all of it is there and declared as it is; two answers instead of two hundred.

    The first that is refused closes the channel: whoever asks for one after the other learns which, and why.
    """
    exchanges = [(item, cast(FieldTable, item.arguments)) for item in topology.exchanges]
    queues = [(item, cast(FieldTable, item.arguments)) for item in topology.queues]
    seen: list[Frame] = [
        *(spec.Exchange.Declare(exchange=item.name, passive=True, nowait=True) for item, _ in exchanges),
        *(spec.Queue.Declare(queue=item.name, passive=True, nowait=True) for item, _ in queues),
    ]
    made: list[Frame] = [
        *(
            spec.Exchange.Declare(
                exchange=item.name, exchange_type="topic", durable=True, nowait=True, arguments=arguments
            )
            for item, arguments in exchanges
        ),
        *(
            spec.Queue.Declare(queue=item.name, durable=True, nowait=True, arguments=arguments)
            for item, arguments in queues
        ),
        *(
            spec.Queue.Bind(queue=item.name, exchange=source, routing_key=key, nowait=True)
            for item, _ in queues
            for source, key in item.bindings
        ),
    ]
    with suppress(AMQPChannelError, ChannelInvalidStateError):
        async with await open_channel(connection, confirms=False) as opened:
            channel = await underlay(opened)
            for frames in (seen, made):  # nothing is declared before all was seen
                await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames))
                await channel.basic_qos(prefetch_count=0)  # answered once all are
            return True
    return False


async def read_queue_state(connection: AbstractConnection, queue: str) -> QueueState | None:
    """Depth and consumers of `queue`; None where it does not exist."""
    return (await read_queue_states(connection, (queue,))).get(queue)


async def read_queue_states(connection: AbstractConnection, queues: Sequence[str]) -> dict[str, QueueState]:
    """Depth and consumers of those that exist, one after the other on one channel."""
    states: dict[str, QueueState] = {}
    left = deque(queues)
    while left:
        with suppress(ChannelNotFoundEntity):  # what is missing closes the channel
            async with await open_channel(connection, confirms=False) as channel:
                while left:
                    queue = left.popleft()
                    states[queue] = await _ask_state(channel, queue)
    return states


async def _ask_state(channel: AbstractChannel, queue: str) -> QueueState:
    """A quorum queue that does not answer RabbitMQ within 0.25 s is told as empty, without consumers.

    It is asked again. Source: `rabbit_quorum_queue:stat` of RabbitMQ 3.10.
    """
    clock = asyncio.get_running_loop().time
    while True:
        asked_at = clock()
        found = (await channel.declare_queue(queue, passive=True)).declaration_result
        state = QueueState(found.message_count or 0, found.consumer_count or 0)
        if state != _SILENT or clock() - asked_at < _STAT_S:
            return state


async def _with_its_delay(connection: AbstractConnection, queue: Queue) -> Queue:
    """A tier with the delay that it has on the server; what is no tier as it is."""
    if queue.ttl_s is None:
        return queue
    there = _OTHER_DELAY.search(await _compare(connection, queue) or "")
    return queue if there is None else replace(queue, ttl_s=int(there[1]) / 1000)


async def _declare(channel: AbstractChannel, item: Exchange | Queue) -> None:
    arguments = cast(FieldTable, item.arguments)
    if isinstance(item, Exchange):
        await channel.declare_exchange(item.name, ExchangeType.TOPIC, durable=True, arguments=arguments)
    else:
        await channel.declare_queue(item.name, durable=True, arguments=arguments)


async def _is_there(connection: AbstractConnection, item: Exchange | Queue) -> bool:
    with suppress(ChannelNotFoundEntity):
        async with await open_channel(connection, confirms=False) as channel:
            await _ask_for(channel, item)
            return True
    return False


async def _ask_for(channel: AbstractChannel, item: Exchange | Queue) -> None:
    """A passive declare. Raises ChannelNotFoundEntity where it is missing; the channel is closed then."""
    if isinstance(item, Exchange):
        await channel.declare_exchange(item.name, passive=True)
    else:
        await channel.declare_queue(item.name, passive=True)


def _name_of(item: Exchange | Queue) -> str:
    return f"{'exchange' if isinstance(item, Exchange) else 'queue'} {item.name}"


@asynccontextmanager
async def _explained(task: str, rights: Mapping[str, str]) -> AsyncIterator[None]:
    """RabbitMQ's refusals in words for an operator. `rights`: what the task needs of what, other than write.

    To declare what has arguments it asks for the right to read, too, under the same name.
    """
    try:
        yield
    except ChannelPreconditionFailed as error:
        raise TopologyMissing(
            f"cannot {task}: RabbitMQ holds another under that name: {_difference(error)}; "
            "delete it when it is empty, then run `wabus topology declare`"
        ) from error
    except ChannelAccessRefused as error:
        found = _REFUSED.search(str(error))
        if found is None:
            raise TopologyForbidden(f"cannot {task}: {_reason(error)}") from error
        named, host, user = f"{found[1]} {found[2]}", found[3], found[4]
        raise TopologyForbidden(
            f"cannot {task}: user {user} lacks the right to {rights.get(named, 'write')} {named}; "
            f"run `rabbitmqctl set_permissions -p {host} {user} '.*' '.*' '.*'`"
        ) from error


def _difference(error: Exception) -> str:
    """Such as `type received 'topic' but current is 'fanout'`."""
    told = re.sub(r" for (queue|exchange) '.*' in vhost '.*?':", "", _reason(error))
    return told.replace("PRECONDITION_FAILED - inequivalent arg ", "")


def _reason(error: Exception) -> str:
    """What RabbitMQ said, without the client's words around it."""
    found = _REASON.search(str(error))
    return found[0].strip() if found else str(error)
