"""Publishing with confirms: a batch is written at once and its confirms awaited together.

Owns the window that all who publish share, and the channel: reopened when it is lost or of no use.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from shared.amqp import hops, outcomes
from shared.amqp.delivery import Publication
from shared.amqp.kept.link import Link
from shared.amqp.publisher_health import PublisherHealth
from shared.amqp.wire import WIRE_ERRORS, PublishingChannel, Wire
from shared.durations import Durations
from shared.errors import WabusError

log = logging.getLogger(__name__)

#: Outstanding confirms in all.
_WINDOW: Final = 400
#: How long one look at the publishing connection may take.
_CHECK_S: Final = 2.0
_CLOSE_S: Final = 1.0


class KeptPublisher:
    """See `shared.amqp.broker.WatchedPublisher`."""

    def __init__(
        self, link: Link, durations: Durations, observe_confirm: Callable[[float], None] = lambda _: None
    ) -> None:
        self.health = PublisherHealth()
        self._link = link
        self._confirm_s = durations.publish_confirm_s
        self._observe_confirm = observe_confirm
        self._channel: PublishingChannel | None = None
        self._opening = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._room = asyncio.Condition()
        self._out = 0

    async def publish(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        """Publish in order; see `shared.amqp.broker.Publisher`."""
        told: list[WabusError | None] = []
        for start in range(0, len(batch), _WINDOW):
            window, begun = hops.leave(batch[start : start + _WINDOW])
            started = time.monotonic()
            part = await self._publish_window(window)
            self.health.note(window, part, started, time.monotonic())
            hops.arrive(begun, part)
            told += part
        return told

    async def check(self) -> None:
        """Open a new confirm channel; see `shared.amqp.broker.WatchedPublisher`."""
        try:
            async with asyncio.timeout(_CHECK_S):
                channel = await (await self._unblocked_wire()).open_publisher()
                self.health.note_answer(time.monotonic())
                await channel.close()
        except WIRE_ERRORS as error:
            raise outcomes.away(error) from error

    async def _publish_window(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        started = time.monotonic()
        await self._take_room(len(batch))
        try:
            async with asyncio.timeout(self._confirm_s):
                channel = await self._open_channel()
                written = await channel.write(batch)
            await written.wait(self._confirm_s)
        except WIRE_ERRORS as error:
            return [outcomes.away(error)] * len(batch)
        finally:
            await self._give_room(len(batch))
        if written.is_spent:
            await self._drop_channel(channel)
        self._observe_confirm(time.monotonic() - started)
        return written.outcomes()

    async def _take_room(self, count: int) -> None:
        """First come, first served; who has more than fits waits until nothing else is out."""
        async with self._turn, self._room:
            await self._room.wait_for(lambda: self._out == 0 or self._out + count <= _WINDOW)
            self._out += count

    async def _give_room(self, count: int) -> None:
        self._out -= count
        async with self._room:
            self._room.notify_all()

    async def _open_channel(self) -> PublishingChannel:
        async with self._opening:
            wire = await self._unblocked_wire()
            if self._channel is None or self._channel.is_closed:
                self._channel = await wire.open_publisher()
            _refuse_if_held(self._channel.held_by)
            return self._channel

    async def _unblocked_wire(self) -> Wire:
        wire = await self._link.wire()
        _refuse_if_held(await wire.blocked())
        return wire

    async def _drop_channel(self, channel: PublishingChannel) -> None:
        """After a channel that is of no use any more the next publish opens another.

        Confirms stay out of it, or it was refused: RabbitMQ 3.10 refuses a channel for ever that a full queue
        has refused once, unless it learns that the limit is higher; that there is none any more is not told.
        What others await on it is given its time.
        """
        if self._channel is channel:
            self._channel = None
        if out := channel.out:
            await asyncio.wait(out, timeout=self._confirm_s)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await channel.close()
        except WIRE_ERRORS as error:
            log.debug("Closing a publishing channel: %s", error)


def _refuse_if_held(reason: str | None) -> None:
    """Raise ConnectionError while RabbitMQ reads nothing from us, or takes no publications.

    What is written nevertheless is out when that ends, long after it has failed; an answer never comes.
    """
    if reason is not None:
        raise ConnectionError(f"it blocks publishers{f' ({reason})' if reason else ''}")
