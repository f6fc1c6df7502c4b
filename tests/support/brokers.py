"""A broker for a test, connected for as long as the test needs it, on the client that the run is about."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.amqp.broker import Broker
from shared.amqp.client import AmqpClient
from shared.settings.settings import Settings
from shared.tasks import end_tasks

#: AMQP_CLIENT of the run, for workers that have nothing else of its environment.
CLIENT_VARIABLE: Final = {name: os.environ[name] for name in ("AMQP_CLIENT",) if name in os.environ}
#: What such a worker speaks with.
CLIENT: Final = AmqpClient(Settings.from_env(CLIENT_VARIABLE).amqp_client)


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[Broker]:
    """Connect it; at the end its connections are closed."""
    async with asyncio.TaskGroup() as tasks:
        await broker.run(tasks)
        try:
            yield broker
        finally:
            await end_tasks(broker.tasks)


@asynccontextmanager
async def starting(broker: Broker) -> AsyncIterator[None]:
    """Let it look for a server that it may never reach; in the end it gives up."""
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(broker.run(tasks))
        try:
            yield
        finally:
            await end_tasks([run, *broker.tasks])
