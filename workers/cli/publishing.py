"""A publisher for one command: connected for as long as the command needs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.amqp.broker import Publisher
from shared.amqp.opening import open_connection
from shared.amqp.pika.link import BROKER_ERRORS, Link
from shared.amqp.pika.publisher import PikaPublisher
from shared.durations import DURATIONS, Durations
from shared.settings import Settings
from workers.cli.operation import unreached_broker


@asynccontextmanager
async def open_publisher(settings: Settings, durations: Durations = DURATIONS) -> AsyncIterator[Publisher]:
    """Lend a publisher. Raises BrokerUnavailable at once where RabbitMQ is away."""
    url = settings.rabbitmq_url.get_secret_value()
    try:
        async with await open_connection(url):
            pass
    except BROKER_ERRORS as error:
        raise unreached_broker(url, error) from error
    link = Link(url, "wabus command", durations)
    connecting = asyncio.create_task(link.run(), name="amqp publish")
    try:
        yield PikaPublisher(link, durations)
    finally:
        connecting.cancel()
        await asyncio.wait((connecting,))
