"""The demo's own connection to RabbitMQ: it publishes and consumes as gateways outside the cluster do.

Owns the connection. A body is all that it publishes: no more is asked of a publisher.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Protocol, Self

import orjson

from shared.amqp.client import open_session
from shared.amqp.session import Arrived, Session
from shared.errors import BrokerUnavailable
from shared.masking import mask_url

_PREFETCH = 300
#: Publishes on their way to a confirm.
_WINDOW = 200


class Publishing(Protocol):
    """What customers and agents need of a wire."""

    async def publish(self, exchange: str, routing_key: str, payload: Mapping[str, Any] | bytes) -> bytes:
        """Returns the body once the broker has confirmed it."""
        ...


class Wire:
    """Made by `connected`. `published` counts by exchange."""

    def __init__(self, session: Session, published: Counter[str]) -> None:
        self._session = session
        self._published = published
        self._window = asyncio.Semaphore(_WINDOW)

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, published: Counter[str]) -> AsyncIterator[Self]:
        """A connection for the length of the block. Raises BrokerUnavailable."""
        async with AsyncExitStack() as stack:
            try:
                session = await stack.enter_async_context(open_session(url, "wabus demo"))
            except BrokerUnavailable as error:
                raise BrokerUnavailable(f"cannot reach RabbitMQ at {mask_url(url)}: {error}") from error
            yield cls(session, published)

    async def publish(self, exchange: str, routing_key: str, payload: Mapping[str, Any] | bytes) -> bytes:
        """Publish and wait for the confirm; returns the body."""
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        async with self._window:
            await self._session.publish(exchange, routing_key, body, bare=True)
        self._published[exchange] += 1
        return body

    @asynccontextmanager
    async def consumed(self, queue: str) -> AsyncIterator[AsyncGenerator[Arrived, None]]:
        """What comes by a queue that is there."""
        async with aclosing(self._session.deliveries(queue, _PREFETCH)) as messages:
            yield messages

    @asynccontextmanager
    async def heard(self, exchange: str, keys: Iterable[str]) -> AsyncIterator[AsyncGenerator[Arrived, None]]:
        """What is published with these keys from now on."""
        queue = await self._session.listen(exchange, keys)
        async with aclosing(self._session.deliveries(queue, _PREFETCH, no_ack=True)) as messages:
            yield messages

    async def depths(self, queues: Iterable[str]) -> dict[str, int]:
        """Messages ready in each of these queues."""
        states = await self._session.queue_states(tuple(queues))
        return {name: state.messages for name, state in states.items()}
