"""Publishing with confirms over aio-pika: a batch is written at once and its confirms awaited together."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiormq.exceptions
from aio_pika.abc import AbstractConnection
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp import encode
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.amqp import hops, outcomes
from shared.amqp.delivery import Publication
from shared.amqp.pika.link import (
    BROKER_ERRORS,
    Link,
    closing_as_connection_error,
    heed_cancellation,
    open_channel,
    underlay,
)
from shared.amqp.properties import APP_ID, CONTENT_TYPE, PERSISTENT, UNWRITABLE, write_header
from shared.amqp.publisher_health import PublisherHealth
from shared.durations import Durations
from shared.errors import Unpublishable, WabusError
from shared.ids import random_uuid

log = logging.getLogger(__name__)

#: Outstanding confirms in all: a `multiple` confirm walks all of them.
_WINDOW = 400
#: RabbitMQ has told whether it blocks us; this long it is asked for, at most.
_BLOCKED_S = 0.05
#: How long one look at the publishing connection may take.
_CHECK_S = 2.0
#: What a frame has around its content.
_FRAME_BYTES = 8


class PikaPublisher:
    """See `shared.amqp.broker.WatchedPublisher`. On one channel, reopened when it is lost or of no use."""

    def __init__(
        self, link: Link, durations: Durations, observe_confirm: Callable[[float], None] = lambda _: None
    ) -> None:
        self.health = PublisherHealth()
        self._link = link
        self._confirm_s = durations.publish_confirm_s
        self._observe_confirm = observe_confirm
        self._channel: Channel | None = None
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
                connection = await self._link.connection()
                await _check_not_blocked(connection)
                async with await open_channel(connection, confirms=True):
                    self.health.note_answer(time.monotonic())
        except BROKER_ERRORS as error:
            heed_cancellation()
            raise outcomes.away(error) from error

    async def _publish_window(self, batch: Sequence[Publication]) -> list[WabusError | None]:
        started = time.monotonic()
        confirms: list[asyncio.Future[object]] = []
        await self._take_room(len(batch))
        try:
            async with asyncio.timeout(self._confirm_s):
                channel = await self._open_channel()
                with closing_as_connection_error():
                    confirms = await _write(channel, batch)
            _, late = await asyncio.wait(confirms, timeout=self._confirm_s)
        except BROKER_ERRORS as error:
            heed_cancellation()
            return [outcomes.away(error)] * len(batch)
        finally:
            for confirm in confirms:
                confirm.cancel()
            await self._give_room(len(batch))
        if late or any(map(_is_refused, confirms)):
            await self._drop_channel(channel)
        self._observe_confirm(time.monotonic() - started)
        return [_outcome(confirm, item) for confirm, item in zip(confirms, batch, strict=True)]

    async def _take_room(self, count: int) -> None:
        """First come, first served; who has more than fits waits until nothing else is out."""
        async with self._turn, self._room:
            await self._room.wait_for(lambda: self._out == 0 or self._out + count <= _WINDOW)
            self._out += count

    async def _give_room(self, count: int) -> None:
        self._out -= count
        async with self._room:
            self._room.notify_all()

    async def _open_channel(self) -> Channel:
        async with self._opening:
            connection = await self._link.connection()
            await _check_not_blocked(connection)
            if self._channel is None or self._channel.is_closed:
                channel = await open_channel(connection, confirms=True)
                self._channel = await underlay(channel)
            return self._channel

    async def _drop_channel(self, channel: Channel) -> None:
        """After a channel that is of no use any more the next publish opens another.

        Confirms stay out of it, or it was refused: RabbitMQ 3.10 refuses a channel for ever that a full queue
        has refused once, unless it learns that the limit is higher; that there is none any more is not told.
        What others await on it is given its time.
        """
        if self._channel is channel:
            self._channel = None
        if out := [confirm for confirm in channel.confirmations.values() if not confirm.done()]:
            await asyncio.wait(out, timeout=self._confirm_s)
        try:
            async with asyncio.timeout(1):
                await channel.close()
        except BROKER_ERRORS as error:
            heed_cancellation()
            log.debug("Closing a publishing channel: %s", error)


async def _check_not_blocked(connection: AbstractConnection) -> None:
    """Raise ConnectionError while RabbitMQ reads nothing from us, for a memory or disk alarm.

    What is written nevertheless is out when the alarm ends, long after it has failed; an answer never comes.
    """
    try:
        async with asyncio.timeout(_BLOCKED_S):
            if connection.transport is not None:
                await connection.transport.connection.ready()
    except TimeoutError:
        raise ConnectionError("it blocks publishers") from None


class PikaHeaderWriter:
    """See `shared.amqp.properties.HeaderWriter`; of one channel, for what is published now."""

    def __init__(self, channel: int, now: datetime) -> None:
        self._channel = channel
        self._now = now

    def write(self, item: Publication, headers: dict[str, Any], message_id: str) -> bytes:
        """The frame; see `shared.amqp.properties.HeaderWriter`."""
        properties = Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=PERSISTENT,
            message_id=message_id,
            correlation_id=item.correlation_id,
            message_type=item.type,
            timestamp=self._now,
            app_id=APP_ID,
            headers=headers,
        )
        return marshal(ContentHeader(properties=properties, body_size=len(item.body)), self._channel)

    def can_write(self, name: str, value: object) -> bool:
        """Whether pamqp can."""
        try:
            encode.field_table({name: value})  # type: ignore[dict-item]
        except UNWRITABLE:
            return False
        return True


async def _write(channel: Channel, batch: Sequence[Publication]) -> list["asyncio.Future[object]"]:
    """Write a batch as one piece; returns a future for each confirm.

    aiormq's own `basic_publish` costs a task, a lock and two timers for each message. This does the same for
    a whole batch: numbers and futures first, then the frames, and nothing of it if they were not written.
    What no frame takes has no number, and its error at once.
    """
    writer = PikaHeaderWriter(channel.number, datetime.now(UTC))
    confirms: list[asyncio.Future[object]] = []
    named: dict[str, int] = {}
    frames = bytearray()
    async with channel.lock:
        first = channel.delivery_tag
        numbered: dict[int, asyncio.Future[object]] = {}
        for item in batch:
            confirms.append(channel.create_future())
            message_id = str(random_uuid())
            try:
                frames += _frames(channel, writer, item, message_id)
            except Unpublishable as error:
                confirms[-1].set_exception(error)
                continue
            named[message_id] = tag = first + len(numbered) + 1
            numbered[tag] = confirms[-1]
        if not numbered:
            return confirms
        channel.delivery_tag += len(numbered)
        channel.confirmations.update(numbered)
        channel.message_id_delivery_tag.update(named)
        try:
            await channel.write_queue.put(ChannelFrame(payload=bytes(frames), should_close=False))
        except BaseException:
            channel.delivery_tag = first
            _forget(channel, named)
            for tag in named.values():
                channel.confirmations.pop(tag, None)
            raise
    # RabbitMQ returns what it cannot route before it confirms it, and both in the order of publishing.
    list(numbered.values())[-1].add_done_callback(lambda _: _forget(channel, named))
    return confirms


def _forget(channel: Channel, named: dict[str, int]) -> None:
    for message_id in named:
        channel.message_id_delivery_tag.pop(message_id, None)


def _frames(channel: Channel, writer: PikaHeaderWriter, item: Publication, message_id: str) -> bytearray:
    number, largest = channel.number, channel.max_content_size
    try:
        frames = bytearray(_publish_frame(number, item.exchange, item.routing_key, item.mandatory))
    except UNWRITABLE as error:
        raise Unpublishable(f"no frame takes its names ({type(error).__name__})") from None
    frames += write_header(writer, largest + _FRAME_BYTES, item, message_id)
    for start in range(0, len(item.body), largest):
        frames += marshal(ContentBody(item.body[start : start + largest]), number)
    return frames


@lru_cache(maxsize=1024)
def _publish_frame(channel: int, exchange: str, routing_key: str, mandatory: bool) -> bytes:
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=mandatory), channel)


def _is_refused(confirm: "asyncio.Future[object]") -> bool:
    error = None if confirm.cancelled() else confirm.exception()
    refused, returned = aiormq.exceptions.DeliveryError, aiormq.exceptions.PublishError
    return isinstance(error, refused) and not isinstance(error, returned)


def _outcome(confirm: "asyncio.Future[object]", item: Publication) -> WabusError | None:
    if confirm.cancelled():
        return outcomes.unconfirmed(item)
    match confirm.exception():
        case None:
            return None
        case Unpublishable() as error:
            return error
        case aiormq.exceptions.PublishError():
            return outcomes.returned(item)
        case aiormq.exceptions.DeliveryError():
            return outcomes.refused(item)
        case error:
            return outcomes.cut_off(item, error)
