"""Keeping a process by the database's clock, and saying so where this machine's is wrong."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from shared.durations import Durations
from shared.errors import StoreError
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.payloads.clock import CLOCK
from shared.postgres.database import Database

logger = get_logger(__name__)
#: Logs, certificates and metrics go by this machine's clock: from here on its error is worth a word.
_WRONG_S: Final = 60.0
#: An answer that took longer says too little of when it was given.
_LONGEST_S: Final = 5.0
_NOW: Final = "select extract(epoch from clock_timestamp())::float8"


class Timekeeping:
    """`clock`: this machine's, in seconds since 1970."""

    def __init__(
        self,
        database: Database,
        state: WorkerState,
        durations: Durations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._state = state
        self._every_s = durations.gauges_s
        self._clock = clock
        self._told = ""
        self._is_set = False

    async def run(self) -> None:
        """Look now and then."""
        while True:
            await asyncio.sleep(self._every_s)
            with suppress(StoreError):  # the gate before the store says so already
                await self.look()

    async def look(self) -> None:
        """Ask the database for the time, and go by it. Raises StoreError."""
        asked = time.monotonic()
        database_s: float = await self._database.fetchval(_NOW)
        passed_s = time.monotonic() - asked
        if passed_s > _LONGEST_S and self._is_set:
            return
        self._is_set = True
        CLOCK.set(database_s + passed_s / 2)
        self._judge(self._clock() - CLOCK.time())

    def _judge(self, off_s: float) -> None:
        side = "ahead of" if off_s > 0 else "behind"
        told = f"this machine's clock is {abs(off_s):.0f} s {side} the database's"
        wrong = abs(off_s) > _WRONG_S
        if wrong and not self._told:
            logger.error(
                "%s: messages are judged by the database's; set this machine's right",
                told,
                extra=fields(operation=Operation.HEALTH),
            )
        self._state.degraded.discard(self._told)
        self._told = told if wrong else ""
        if wrong:
            self._state.degraded.add(told)
