"""A broker for a test, connected for as long as the test needs it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.amqp.broker import Broker
from shared.tasks import end_tasks


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
