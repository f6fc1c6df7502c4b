"""A channel of aio-pika in confirm mode: see `shared.amqp.wire.PublishingChannel`."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiormq.exceptions
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from pamqp import encode
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.amqp import outcomes
from shared.amqp.delivery import Publication
from shared.amqp.pika.calling import as_wire_error
from shared.amqp.properties import APP_ID, CONTENT_TYPE, PERSISTENT, UNWRITABLE, write_header
from shared.errors import Unpublishable, WabusError
from shared.ids import random_uuid

#: What a frame has around its content.
_FRAME_BYTES = 8


class PikaPublishing:
    """On aiormq's channel, which keeps a future for each confirm."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use; see `shared.amqp.wire.PublishingChannel`."""
        return bool(self._channel.is_closed)

    @property
    def held_by(self) -> None:
        """aiormq does not tell; see `shared.amqp.wire.PublishingChannel`."""
        return

    @property
    def out(self) -> Sequence["asyncio.Future[object]"]:
        """Confirms that are waited for; see `shared.amqp.wire.PublishingChannel`."""
        return [confirm for confirm in self._channel.confirmations.values() if not confirm.done()]

    async def write(self, batch: Sequence[Publication]) -> "PikaWritten":
        """Publish; see `shared.amqp.wire.PublishingChannel`."""
        with as_wire_error():
            return PikaWritten(batch, await _write(self._channel, batch))

    async def close(self) -> None:
        """Close it; see `shared.amqp.wire.PublishingChannel`."""
        with as_wire_error():
            await self._channel.close()


class PikaWritten:
    """See `shared.amqp.wire.WrittenBatch`."""

    def __init__(self, batch: Sequence[Publication], confirms: "Sequence[asyncio.Future[object]]") -> None:
        self._batch = batch
        self._confirms = confirms

    @property
    def is_spent(self) -> bool:
        """Whether its channel is; see `shared.amqp.wire.WrittenBatch`."""
        return any(confirm.cancelled() or _is_refused(confirm) for confirm in self._confirms)

    async def wait(self, timeout_s: float) -> None:
        """Wait for the confirms; see `shared.amqp.wire.WrittenBatch`."""
        try:
            await asyncio.wait(self._confirms, timeout=timeout_s)
        finally:
            for confirm in self._confirms:
                confirm.cancel()

    def outcomes(self) -> list[WabusError | None]:
        """One each; see `shared.amqp.wire.WrittenBatch`."""
        return [_outcome(confirm, item) for confirm, item in zip(self._confirms, self._batch, strict=True)]


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
            message_id = random_uuid()
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
    error = confirm.exception()
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
