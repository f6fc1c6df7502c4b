"""What the cluster told, read from a queue of the rig's own that is bound to `wa.events`.

Owns the list of events, copies too, and who waits for one of them.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aio_pika.abc import AbstractIncomingMessage

from deploy.demo.echo import Echo
from shared.amqp.delivery import IDEMPOTENCY_KEY
from shared.amqp.topology import EVENTS
from tests.faults.wire import SteadyWire, acknowledge

_QUEUE: Final = "faults.heard"


@dataclass(frozen=True, slots=True)
class Heard:
    """One delivery of an event. `key`: its `x-idempotency-key`."""

    event_type: str
    key: str
    payload: dict[str, Any]


class EventLog:
    """Hears everything. Events that agents wait for are passed on to `echo`."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._heard = asyncio.Condition()
        self.events: list[Heard] = []

    async def prepare(self, wire: SteadyWire) -> None:
        """Bind the queue: from now on nothing is missed, whether anybody reads it or not."""
        await wire.keep(_QUEUE, EVENTS, ["#"])

    async def run(self, wire: SteadyWire) -> None:
        """Hear until cancelled."""
        await wire.consume(_QUEUE, self._take)

    async def wait_for(self, event_type: str, **fields: Any) -> Heard:
        """The first event of this name whose payload has these fields, once it is told."""
        seen = 0
        async with self._heard:
            while True:
                for heard in self.events[seen:]:
                    if heard.event_type == event_type and _has(heard.payload, fields):
                        return heard
                seen = len(self.events)
                await self._heard.wait()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        event_type = message.routing_key or ""
        key = str(message.headers.get(IDEMPOTENCY_KEY))
        heard = Heard(event_type, key, orjson.loads(message.body))
        async with self._heard:
            self.events.append(heard)
            self._heard.notify_all()
        self._echo.hear(event_type, message.body)
        await acknowledge(message)


def _has(payload: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    return all(payload.get(name) == value for name, value in fields.items())
