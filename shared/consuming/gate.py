"""The gate before PostgreSQL: while it is away, nothing is consumed and what is in hand waits.

Owns noticing that the store is back. Nothing is dead-lettered and no attempt counted because of it.
"""

import asyncio
import time
from collections.abc import Sequence

from shared.amqp.delivery import Inlet
from shared.durations import Durations
from shared.errors import StoreError
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database

logger = get_logger(__name__)
STORE_AWAY = "PostgreSQL is away"


class StoreGate:
    """Shared by all consumers of a worker process."""

    def __init__(self, database: Database, state: WorkerState, durations: Durations) -> None:
        self._database = database
        self._state = state
        self._durations = durations
        self._inlets: list[Inlet] = []
        self._open = asyncio.Event()
        self._open.set()
        self._passable = asyncio.Event()
        self._passable.set()
        self._draining = False
        self._shut_at = 0.0

    def guard(self, inlet: Inlet) -> None:
        """Pause this inlet, too, while the store is away."""
        self._inlets.append(inlet)

    def drain(self) -> None:
        """The worker stops: from now on only who has deliveries in hand waits for the store."""
        self._draining = True
        self._passable.set()

    async def wait_until_open(self) -> None:
        """To be awaited before more is taken in hand: return once the store is well, or the worker drains."""
        await self._passable.wait()

    async def hold(self, error: StoreError) -> bool:
        """The store is away: wait until it takes writes again.

        Returns False when that took longer than deliveries may be kept in hand.
        """
        if self._open.is_set():
            self._shut_at = time.monotonic()
            self._open.clear()
            if not self._draining:
                self._passable.clear()
            await self._shut(error)
        while not self._open.is_set():
            if time.monotonic() - self._shut_at > self._durations.hold_when_store_away_s:
                return False
            await self._probe()
        return True

    async def run(self) -> None:
        """Look for the store while it is away, also when nothing is in hand any more."""
        while True:
            await asyncio.sleep(self._durations.store_probe_max_s)
            if not self._open.is_set():
                await self._probe()

    async def _shut(self, error: StoreError) -> None:
        logger.error(
            "%s (%s): consuming pauses, what is in hand is kept",
            STORE_AWAY,
            error,
            extra=fields(operation=Operation.CONSUMING),
        )
        self._state.not_ready.add(STORE_AWAY)
        self._state.stall_reasons.add(STORE_AWAY)
        await self._each(pause=True)

    async def _probe(self) -> None:
        try:
            await self._database.check_writable()
        except StoreError:
            await asyncio.sleep(self._durations.store_probe_s)
            return
        if self._open.is_set():
            return
        self._open.set()
        self._passable.set()
        self._state.not_ready.discard(STORE_AWAY)
        self._state.stall_reasons.discard(STORE_AWAY)
        logger.info("PostgreSQL is back: consuming goes on", extra=fields(operation=Operation.CONSUMING))
        await self._each(pause=False)

    async def _each(self, *, pause: bool) -> None:
        inlets: Sequence[Inlet] = tuple(self._inlets)
        for inlet in inlets:
            await (inlet.pause() if pause else inlet.resume())
