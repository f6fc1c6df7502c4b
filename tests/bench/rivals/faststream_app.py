"""On FastStream: `faststream run tests.bench.rivals.faststream_app:app`, one process, 100 messages at once.

Its broker confirms publications, a message is acknowledged after its handler, and what fails comes again.
uvloop is taken where it is installed.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Final

from faststream import AckPolicy, ContextRepo, FastStream
from faststream.params import Context
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue

from shared.amqp.topology import ENRICHED, EVENTS, INBOUND_RESOLVER, OUTBOUND_REPLY, STATUS_UPDATER
from shared.payloads import InboundMessage, OutboundMessage, StatusUpdate
from tests.bench.rivals.jobs import AT_ONCE, Event, Jobs

_EVENTS: Final = RabbitExchange(EVENTS, type=ExchangeType.TOPIC, declare=False)

broker = RabbitBroker(
    os.environ["RABBITMQ_URL"],
    default_channel=Channel(prefetch_count=AT_ONCE, on_return_raises=True),
    ack_policy=AckPolicy.NACK_ON_ERROR,
    logger=None,
)


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    """The clients of the process."""
    async with AsyncExitStack() as until:
        context.set_global("jobs", await Jobs.open(os.environ, until))
        yield


app = FastStream(broker, lifespan=lifespan, logger=None)


def _queue(name: str) -> RabbitQueue:
    return RabbitQueue(name, declare=False)


@broker.subscriber(_queue(INBOUND_RESOLVER))
async def inbound(message: InboundMessage, jobs: Annotated[Jobs, Context()]) -> None:
    """A customer's message."""
    await _publish(ENRICHED, await jobs.inbound(message), mandatory=True)


@broker.subscriber(_queue(STATUS_UPDATER))
async def status(update: StatusUpdate, jobs: Annotated[Jobs, Context()]) -> None:
    """What became of a message."""
    await _publish("message.updated", await jobs.status(update), mandatory=False)


@broker.subscriber(_queue(OUTBOUND_REPLY))
async def outbound(message: OutboundMessage, jobs: Annotated[Jobs, Context()]) -> None:
    """A reply."""
    await _publish("outbound.sent", await jobs.outbound(message), mandatory=False)


async def _publish(routing_key: str, event: Event, *, mandatory: bool) -> None:
    """Not by a publisher's decorator: in 0.7.8 that one publishes mandatory, whatever it is told."""
    await broker.publish(event, exchange=_EVENTS, routing_key=routing_key, persist=True, mandatory=mandatory)
