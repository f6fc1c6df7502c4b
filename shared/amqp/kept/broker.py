"""A broker on any client's wires: consuming and publishing on connections of their own.

Owns the two connections and the supervision of the inlets. Retries, dead letters and decisions are not here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from shared.amqp.broker import QueueState
from shared.amqp.kept.inlet import KeptInlet
from shared.amqp.kept.link import Link, OpenWire
from shared.amqp.kept.publisher import KeptPublisher
from shared.amqp.topology import Topology
from shared.amqp.wire import WIRE_ERRORS
from shared.certificates import ObserveExpiry, ignore_expiry
from shared.durations import Durations
from shared.settings.server_urls import UrlSource

#: Told the server, the topology, and whether it was there before: then what is missing is declared anew.
PrepareTopology: TypeAlias = Callable[[str | UrlSource, Topology, bool], Awaitable[None]]

_ASK_S: Final = 2.0
#: A server that does not answer meanwhile is given up.
_PREPARE_S: Final = 30.0


class KeptBroker:
    """See `shared.amqp.broker.Broker`. Its tasks live in the task group given to `run`."""

    def __init__(
        self,
        open_wire: OpenWire,
        prepare_topology: PrepareTopology,
        url: str | UrlSource,
        name: str,
        topology: Topology,
        durations: Durations,
        observe_confirm: Callable[[float], None] = lambda _: None,
        observe_expiry: ObserveExpiry = ignore_expiry,
    ) -> None:
        self._url = url
        self._topology = topology
        self._prepare_topology = prepare_topology
        self._durations = durations
        self._prepared = False
        self._consuming = Link(open_wire, url, f"{name}:consume", durations, self._prepare, observe_expiry)
        self._publishing = Link(open_wire, url, f"{name}:publish", durations, observe_expiry=observe_expiry)
        self.publisher = KeptPublisher(self._publishing, durations, observe_confirm)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._inlets: list[KeptInlet] = []

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Keep the connections up; see `shared.amqp.broker.Broker`."""
        self._group = tasks
        for link, name in ((self._consuming, "amqp consume"), (self._publishing, "amqp publish")):
            self._tasks.append(tasks.create_task(link.run(), name=name))
        await self._consuming.wire()
        await self._publishing.wire()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """Those of connections and consumers; see `shared.amqp.broker.Broker`."""
        return tuple(self._tasks)

    @property
    def is_up(self) -> bool:
        """Whether both connections are open."""
        return self._consuming.is_up and self._publishing.is_up

    @property
    def lacks_consumer(self) -> bool:
        """Whether an inlet is without the consumer that it wants."""
        return any(inlet.lacks_consumer for inlet in self._inlets)

    async def inlet(self, queue: str, prefetch: int, share: int = 1) -> KeptInlet:
        """Start to consume `queue`; see `shared.amqp.broker.Broker`."""
        assert self._group is not None
        inflight_bytes = self._durations.inflight_bytes // share
        inlet = KeptInlet(queue, prefetch, self._consuming, self._durations, inflight_bytes)
        self._inlets.append(inlet)
        self._tasks.append(self._group.create_task(inlet.run(), name=f"consume {queue}"))
        return inlet

    async def queue_state(self, queue: str) -> QueueState | None:
        """Depth and consumers of `queue`; see `shared.amqp.broker.Broker`."""
        if not self._publishing.is_up:
            return None
        try:
            async with asyncio.timeout(_ASK_S):
                return await (await self._publishing.wire()).queue_state(queue)
        except WIRE_ERRORS:
            return None

    async def _prepare(self) -> None:
        """The first time, demand a prepared server; on a reconnect, declare anew what a new server lost."""
        async with asyncio.timeout(_PREPARE_S):
            await self._prepare_topology(self._url, self._topology, self._prepared)
        self._prepared = True
