"""The gates before the servers that all work needs: while one is away, the queues of the process stand still.

Own noticing that a server is back. Nothing is dead-lettered and no attempt counted because of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from shared.amqp.publisher_health import PublisherHealth
from shared.consuming.standing import Standing
from shared.durations import Durations
from shared.errors import WabusError
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database

logger = get_logger(__name__)
STORE: Final = "PostgreSQL"
PUBLISHING: Final = "publishing to RabbitMQ"
#: A server that has not answered a look by then is away.
_LOOK_S: Final = 5.0


class Gate:
    """Of one server, shared by all consumers of a process; `run` must be running beside them."""

    def __init__(
        self, server: str, check: Callable[[], Awaitable[None]], state: WorkerState, durations: Durations
    ) -> None:
        self._server = server
        self._check = check
        self._state = state
        self._durations = durations
        self._standings: list[Standing] = []
        self._shut = asyncio.Event()

    @property
    def away(self) -> str:
        """What a worker says of itself while it is shut."""
        return f"{self._server} is away"

    def guard(self, standing: Standing) -> None:
        """This queue stands still, too, while the gate is shut."""
        self._standings.append(standing)

    def shut(self, error: WabusError, since: float | None = None) -> None:
        """The server is away, since then (monotonic) or now. Opens by itself."""
        for standing in self._standings:
            standing.leave(self._server, time.monotonic() if since is None else since)
        if self._shut.is_set():
            return
        logger.error(
            "%s (%s): consuming pauses, what is in hand is kept",
            self.away,
            error,
            extra=fields(operation=Operation.CONSUMING),
        )
        self._state.not_ready.add(self.away)
        self._state.stall_reasons.add(self.away)
        self._shut.set()

    async def run(self) -> None:
        """Look for the server while it is away."""
        while True:
            await self._shut.wait()
            pause_s = self._durations.store_probe_s
            while await self._look() is not None:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._durations.store_probe_max_s)
            self._open()
            await asyncio.sleep(self._durations.store_probe_s)

    async def _look(self) -> WabusError | None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._check()
        except WabusError as error:
            return error
        except TimeoutError:
            return WabusError(f"no answer within {_LOOK_S:g} s")
        return None

    def _open(self) -> None:
        self._shut.clear()
        self._state.not_ready.discard(self.away)
        self._state.stall_reasons.discard(self.away)
        logger.info(
            "%s is back: consuming goes on", self._server, extra=fields(operation=Operation.CONSUMING)
        )
        for standing in self._standings:
            standing.come_back(self._server)


class StoreGate(Gate):
    """Shut by whoever works and finds PostgreSQL away."""

    def __init__(self, database: Database, state: WorkerState, durations: Durations) -> None:
        super().__init__(STORE, database.check_writable, state, durations)


class PublishingGate(Gate):
    """Shuts itself: what work publishes is mostly left to the scheduler where it fails; nobody complains."""

    def __init__(
        self,
        health: PublisherHealth,
        check: Callable[[], Awaitable[None]],
        state: WorkerState,
        durations: Durations,
    ) -> None:
        super().__init__(PUBLISHING, check, state, durations)
        self._health = health

    async def watch(self) -> None:
        """Look after each publication without an answer."""
        while True:
            await asyncio.sleep(self._durations.store_probe_s)
            since = self._health.silent_since
            if since is not None and not self._shut.is_set() and (error := await self._look()) is not None:
                self.shut(error, since)
