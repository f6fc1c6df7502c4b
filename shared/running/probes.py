"""The checks behind `/health`: each server asked, and the breakers counted."""

import asyncio
import time
from collections.abc import Sequence

from shared.amqp.broker import Broker
from shared.coordination.checking import check_redis
from shared.coordination.client import RedisClient
from shared.observability.health import Check
from shared.postgres.database import Database
from shared.postgres.rights import check_usable


class DatabaseProbe:
    """PostgreSQL answers, takes writes, and lets this login work."""

    name = "database"
    essential = True

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> Check:
        """Ask the server. Raises StoreError."""
        started = time.perf_counter()
        await check_usable(self._database)
        return Check("ok", latency_ms=round((time.perf_counter() - started) * 1000, 3))


class RedisProbe:
    """Redis runs the scripts that workers run; without it a worker is degraded and carries on."""

    name = "redis"
    essential = False

    def __init__(self, redis: RedisClient) -> None:
        self._redis = redis

    async def check(self) -> Check:
        """Ask the server. Raises RedisUnavailable."""
        return Check("ok", latency_ms=round(await check_redis(self._redis), 3))


class BrokerProbe:
    """RabbitMQ's connections are up, and every consumer that is wanted; the depth of the worker's queues."""

    name = "rabbitmq"
    essential = True

    def __init__(self, broker: Broker, queues: Sequence[str]) -> None:
        self._broker = broker
        self._queues = queues

    async def check(self) -> Check:
        """Ask the server for the depths."""
        if not self._broker.is_up:
            return Check("error", error="the connection is down")
        states = await asyncio.gather(*(self._broker.queue_state(queue) for queue in self._queues))
        depth = sum(state.messages for state in states if state is not None)
        if self._broker.lacks_consumer:
            return Check("error", queue_depth=depth, error="a consumer is not there")
        if silent := [queue for queue, state in zip(self._queues, states, strict=True) if state is None]:
            return Check("error", queue_depth=depth, error=f"no depth is told of {', '.join(silent)}")
        return Check("ok", queue_depth=depth)


class CircuitsProbe:
    """No circuit breaker is open."""

    name = "circuits"
    essential = False

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> Check:
        """Read the breakers. Raises StoreError."""
        rows = await self._database.fetch("select service from circuit_breakers where state = 'open' limit 5")
        if not rows:
            return Check("ok")
        return Check("error", error=f"open: {', '.join(row['service'] for row in rows)}")
