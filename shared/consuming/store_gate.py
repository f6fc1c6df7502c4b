"""The gates before the servers that all work needs: while one is away, the queues of the process stand still.

Own noticing that a server is back. Nothing is dead-lettered and no attempt counted because of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from shared.amqp.publisher_health import PublisherHealth
from shared.consuming.standing import Standing
from shared.durations import Durations
from shared.errors import StoreMisconfigured, WabusError
from shared.observability.health import WorkerState
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.database import Database
from shared.postgres.rights import check_usable

logger = get_logger(__name__)
STORE: Final = "PostgreSQL"
PUBLISHING: Final = "publishing to RabbitMQ"
#: A server that has not answered a look by then is away.
_LOOK_S: Final = 5.0
#: How often a gate that is open again looks whether work succeeds.
_PROOF_S: Final = 0.1


class Gate:
    """Of one server, shared by all consumers of a process; `run` must be running beside them.

    Once it is shut, the queues stand still until `run` has seen the server answer. Then each tries one
    delivery, and moves again once that is worked.
    """

    def __init__(
        self, server: str, check: Callable[[], Awaitable[None]], state: WorkerState, durations: Durations
    ) -> None:
        self._server = server
        self._check = check
        self._state = state
        self._durations = durations
        self._standings: list[Standing] = []
        self._shut = asyncio.Event()
        self._told = ""
        self._misconfigured = False

    def guard(self, standing: Standing) -> None:
        """This queue stands still, too, while the gate is shut."""
        self._standings.append(standing)

    def shut(self, error: WabusError, since: float | None = None) -> None:
        """The server is away, or does not let us work, since then (monotonic) or now. Opens by itself.

        Blocks and raises nothing. May be called by many at once, and again: a queue stands still since the
        first of them, and a line is logged where there is something new to tell.
        """
        for standing in self._standings:
            standing.leave(self._server, time.monotonic() if since is None else since)
        if not self._shut.is_set():
            self._shut.set()
            self._tell(error)

    async def run(self) -> None:
        """Look for the server while it is away. Where work fails all the same, look ever more seldom.

        Runs until cancelled. A look blocks for `_LOOK_S` at most; a server that answers with an error is
        away, and none of its errors is raised.
        """
        rest_s = self._durations.store_probe_s
        while True:
            await self._shut.wait()
            await self._until_it_answers()
            self._shut.clear()
            for standing in self._standings:
                standing.come_back(self._server)
            if await self._is_proven():
                self._untell()
                rest_s = self._durations.store_probe_s
            else:
                rest_s = min(rest_s * 2, self._durations.store_probe_max_s)
            await asyncio.sleep(rest_s)

    async def _until_it_answers(self) -> None:
        pause_s = self._durations.store_probe_s
        while (error := await self._look()) is not None:
            self._tell(error)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._durations.store_probe_max_s)

    async def _is_proven(self) -> bool:
        """Whether work succeeds again: a look shows that a server is back, not that it lets us work.

        Another queue's work may go on all the same, so it takes a while. Where nothing comes to be worked,
        the look is all there is.
        """
        began = time.monotonic()
        while self._misconfigured and not self._shut.is_set():
            passed_s = time.monotonic() - began
            works = any(not standing.is_still for standing in self._standings)
            if passed_s >= (self._durations.store_probe_max_s if works else self._durations.brake_probe_s):
                break
            await asyncio.sleep(_PROOF_S)
        return not self._shut.is_set()

    async def _look(self) -> WabusError | None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._check()
        except WabusError as error:
            return error
        except TimeoutError:
            return WabusError(f"no answer within {_LOOK_S:g} s")
        return None

    def _tell(self, error: WabusError) -> None:
        """What a worker says of itself while it is shut: once, until it is something else."""
        self._misconfigured = isinstance(error, StoreMisconfigured)
        told = f"{self._server} is away"
        if self._misconfigured:
            told = f"{self._server} does not let this worker work: {error}"
        if told == self._told:
            return
        logger.error(
            "%s%s: consuming pauses, what is in hand is kept",
            told,
            "" if self._misconfigured else f" ({error})",
            extra=fields(operation=Operation.CONSUMING),
        )
        self._forget()
        self._told = told
        self._state.not_ready.add(told)
        self._state.stall_reasons.add(told)

    def _untell(self) -> None:
        self._forget()
        logger.info(
            "%s is back: consuming goes on", self._server, extra=fields(operation=Operation.CONSUMING)
        )

    def _forget(self) -> None:
        self._state.not_ready.discard(self._told)
        self._state.stall_reasons.discard(self._told)
        self._told = ""


class StoreGate(Gate):
    """Shut by whoever works and finds PostgreSQL away."""

    def __init__(self, database: Database, state: WorkerState, durations: Durations) -> None:
        super().__init__(STORE, partial(check_usable, database), state, durations)


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
