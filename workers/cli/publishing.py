"""A publisher for one command: connected for as long as the command needs it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from shared.amqp.broker import LentPublisher
from shared.amqp.client import lend_publisher
from shared.durations import DURATIONS, Durations
from shared.errors import BrokerUnavailable
from shared.settings.settings import Settings
from workers.cli.operation import unreached_broker

#: Whose a command's spans are.
PROGRAM: Final = "command"


@asynccontextmanager
async def open_publisher(
    settings: Settings, durations: Durations = DURATIONS, name: str = "wabus command"
) -> AsyncIterator[LentPublisher]:
    """Lend a publisher. Raises BrokerUnavailable at once where RabbitMQ is away."""
    url = settings.rabbitmq_url.get_secret_value()
    async with AsyncExitStack() as stack:
        try:
            publisher = await stack.enter_async_context(lend_publisher(url, name, durations))
        except BrokerUnavailable as error:
            raise unreached_broker(url, error) from error
        yield publisher
