"""Makes empty servers ready: schema, exchanges and queues; and says whether they are empty."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from deploy.demo.reading import ALL_QUEUES, QUERIES
from deploy.demo.wire import Wire
from schema.migrator import MigrationError, migrate
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from shared.durations import DURATIONS, Durations
from shared.errors import BrokerUnavailable, StackError
from shared.masking import mask_url


async def prepare(urls: Mapping[str, str], durations: Durations = DURATIONS) -> None:
    """Migrate the database and declare the topology; safe to repeat."""
    try:
        await migrate(urls["DATABASE_URL"])
    except MigrationError as error:
        raise StackError(str(error)) from error
    broker = urls["RABBITMQ_URL"]
    try:
        async with open_session(broker) as session:
            await session.declare(build_topology(durations))
    except BrokerUnavailable as error:
        raise BrokerUnavailable(f"cannot reach RabbitMQ at {mask_url(broker)}: {error}") from error


async def require_untouched(database: "asyncpg.Connection[Any]", wire: Wire) -> None:
    """Raise StackError where traffic was here before: a demo judges everything that it finds."""
    depths = await wire.depths(ALL_QUEUES)
    if any(depths.values()) or await database.fetchval(QUERIES["traces"]):
        raise StackError(
            "these servers hold messages already, and a demo judges everything that it finds: "
            "end the stack with `make down`, or name empty servers"
        )
