"""The broker over aio-pika: consuming and publishing on connections of their own.

Owns the two connections and the supervision of the inlets. Retries, dead letters and decisions are not here.
"""

import asyncio
from collections.abc import Callable, Sequence

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from shared.amqp.delivery import QueueState
from shared.amqp.pika.declare import check_topology, restore_topology
from shared.amqp.pika.inlet import PikaInlet
from shared.amqp.pika.link import BROKER_ERRORS, Link, heed_cancellation, open_channel
from shared.amqp.pika.publisher import PikaPublisher
from shared.amqp.topology import Topology
from shared.durations import Durations
from shared.server_urls import UrlSource

#: What RabbitMQ tells of a quorum queue that did not answer it in time.
_SILENT = QueueState(0, 0)
_STAT_S = 0.25


class PikaBroker:
    """See `shared.amqp.delivery.Broker`. Its tasks live in the task group given to `run`."""

    def __init__(
        self,
        url: str | UrlSource,
        name: str,
        topology: Topology,
        durations: Durations,
        observe_confirm: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._topology = topology
        self._durations = durations
        self._prepared = False
        self._consuming = Link(url, f"{name}:consume", durations, self._prepare)
        self._publishing = Link(url, f"{name}:publish", durations)
        self.publisher = PikaPublisher(self._publishing, durations, observe_confirm)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._inlets: list[PikaInlet] = []

    async def run(self, tasks: asyncio.TaskGroup) -> None:
        """Keep the connections up in `tasks`; returns when the first ones are there.

        Raises TopologyMissing on an unprepared server.
        """
        self._group = tasks
        for link, name in ((self._consuming, "amqp consume"), (self._publishing, "amqp publish")):
            self._tasks.append(tasks.create_task(link.run(), name=name))
        await self._consuming.connection()
        await self._publishing.connection()

    @property
    def tasks(self) -> Sequence[asyncio.Task[None]]:
        """What keeps connections and consumers up; ended, they close the connections."""
        return tuple(self._tasks)

    @property
    def is_up(self) -> bool:
        """Whether both connections are open."""
        return self._consuming.is_up and self._publishing.is_up

    @property
    def lacks_consumer(self) -> bool:
        """Whether an inlet is without the consumer that it wants."""
        return any(inlet.lacks_consumer for inlet in self._inlets)

    async def inlet(self, queue: str, prefetch: int, share: int = 1) -> PikaInlet:
        """Start to consume `queue`, as one of `share` queues that have the bytes in flight between them."""
        assert self._group is not None
        inflight_bytes = self._durations.inflight_bytes // share
        inlet = PikaInlet(queue, prefetch, self._consuming, self._durations, inflight_bytes)
        self._inlets.append(inlet)
        self._tasks.append(self._group.create_task(inlet.run(), name=f"consume {queue}"))
        return inlet

    async def queue_state(self, queue: str) -> QueueState | None:
        """Depth and consumers of `queue`; None where it does not exist or the broker is away.

        A quorum queue that does not answer RabbitMQ within 0.25 s is told as empty, without consumers, and is
        asked again. Source: `rabbit_quorum_queue:stat` of RabbitMQ 3.10.
        """
        clock = asyncio.get_running_loop().time
        if not self._publishing.is_up:
            return None
        try:
            async with asyncio.timeout(2):
                connection = await self._publishing.connection()
                async with await open_channel(connection, confirms=False) as channel:
                    while True:
                        asked_at = clock()
                        found = (await channel.declare_queue(queue, passive=True)).declaration_result
                        state = QueueState(found.message_count or 0, found.consumer_count or 0)
                        if state != _SILENT or clock() - asked_at < _STAT_S:
                            return state
        except ChannelNotFoundEntity:
            return None
        except BROKER_ERRORS:
            heed_cancellation()
            return None

    async def _prepare(self, connection: AbstractConnection) -> None:
        """The first time, demand a prepared server; on a reconnect, declare anew what a new server lost."""
        if self._prepared:
            await restore_topology(connection, self._topology)
        else:
            await check_topology(connection, self._topology)
            self._prepared = True
