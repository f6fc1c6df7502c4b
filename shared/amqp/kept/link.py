"""One connection that is kept up for ever.

Owns reconnecting with back-off and giving up a silent server; channels and their work belong to others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from shared.amqp.wire import WIRE_ERRORS, Wire
from shared.certificates import ObserveExpiry, ignore_expiry
from shared.durations import Durations
from shared.masking import mask_url
from shared.settings.server_urls import UrlSource, current_url

log = logging.getLogger(__name__)

#: Signs in to the first address of a URL that answers, under a name that the server shows of us.
OpenWire: TypeAlias = Callable[[str | UrlSource, str], Awaitable[Wire]]

_LISTEN_EVERY_S: Final = 1.0
_CLOSE_S: Final = 5.0


class Link:
    """A connection named `name`; `prepare` runs after each new one is open, before anyone gets it."""

    def __init__(
        self,
        open_wire: OpenWire,
        url: str | UrlSource,
        name: str,
        durations: Durations,
        prepare: Callable[[], Awaitable[None]] | None = None,
        observe_expiry: ObserveExpiry = ignore_expiry,
    ) -> None:
        self._open_wire = open_wire
        self._url = url
        self._name = name
        self._durations = durations
        self._prepare = prepare
        self._observe_expiry = observe_expiry
        self._wire: Wire | None = None
        self._up = asyncio.Event()

    @property
    def is_up(self) -> bool:
        """Whether the connection is open now."""
        return self._up.is_set() and self._wire is not None and not self._wire.lost.done()

    async def wire(self) -> Wire:
        """Wait, for ever if need be, and return the open connection."""
        while True:
            await self._up.wait()
            if self._wire is not None and not self._wire.lost.done():
                return self._wire
            self._up.clear()  # it was lost this moment; `run` has yet to hear of it

    async def run(self) -> None:
        """Keep the connection up until cancelled; then close it."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(WIRE_ERRORS),
            wait=wait_random_exponential(self._durations.reconnect_s, self._durations.reconnect_max_s),
            before_sleep=self._report,
        )
        try:
            while True:
                wire: Wire = await retrying(self._connect)
                self._up.set()
                await self._wait_until_lost(wire)
        finally:
            await self._close()

    async def _connect(self) -> Wire:
        await self._close()  # what an attempt left whose preparation failed
        self._wire = wire = await self._open_wire(self._url, self._name)
        if (expires_at := wire.certificate_expires_at) is not None:
            self._observe_expiry(expires_at)
        if self._prepare is not None:
            await self._prepare()
        return wire

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        where = mask_url(current_url(self._url))
        log.warning("RabbitMQ at %s is away (%s: %s); trying again", where, type(error).__name__, error)

    async def _wait_until_lost(self, wire: Wire) -> None:
        """Returns at once for a connection that was lost while it was prepared."""
        while not (await asyncio.wait([wire.lost], timeout=_LISTEN_EVERY_S))[0]:
            if wire.is_silent:
                log.warning("RabbitMQ has fallen silent: the connection %s is given up", self._name)
                wire.abort()
        self._up.clear()
        self._wire = None
        log.warning("The connection %s to RabbitMQ was lost", self._name)

    async def _close(self) -> None:
        self._up.clear()
        wire, self._wire = self._wire, None
        if wire is None or wire.lost.done():
            return
        try:
            async with asyncio.timeout(_CLOSE_S):
                await wire.close()
        except WIRE_ERRORS as error:
            log.debug("Closing %s: %s", self._name, error)
        finally:
            wire.abort()
