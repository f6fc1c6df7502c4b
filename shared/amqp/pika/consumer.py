"""A channel of aio-pika with a consumer on it: see `shared.amqp.wire.ConsumerChannel`."""

import time
from collections.abc import Sequence

from aio_pika.abc import AbstractChannel
from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelClosed
from pamqp.commands import Basic

from shared.amqp.delivery import Delivery
from shared.amqp.pika.calling import as_wire_error
from shared.amqp.wire import Listener


class PikaConsumer:
    """aio-pika's channel tells of its end; the calls go to aiormq's below it."""

    def __init__(self, opened: AbstractChannel, channel: Channel) -> None:
        self._opened = opened
        self._channel = channel

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use; see `shared.amqp.wire.ConsumerChannel`."""
        return bool(self._channel.is_closed)

    def listen(self, listener: Listener) -> None:
        """Tell of what comes; see `shared.amqp.wire.ConsumerChannel`."""

        async def on_message(message: DeliveredMessage) -> None:
            listener.on_delivery(_read(message, listener))

        def on_closed(_: object, error: BaseException | None = None) -> None:
            is_told = isinstance(error, ChannelClosed) and error.args[0] is not None
            listener.on_closed(str(error) if is_told else None)

        self._on_message = on_message
        self._opened.close_callbacks.add(on_closed)
        self._channel.on_consumer_cancel_callbacks.add(
            lambda frame: listener.on_cancelled(str(frame.consumer_tag))
        )

    async def consume(self, queue: str, prefetch: int) -> str:
        """Start; see `shared.amqp.wire.ConsumerChannel`."""
        with as_wire_error():
            await self._channel.basic_qos(prefetch_count=prefetch)
            consumed = await self._channel.basic_consume(queue, self._on_message)
        return str(consumed.consumer_tag)

    async def cancel(self, tag: str) -> None:
        """Stop; see `shared.amqp.wire.ConsumerChannel`."""
        with as_wire_error():
            await self._channel.basic_cancel(tag)

    async def acknowledge(self, upto: int | None, single: Sequence[int]) -> None:
        """In two writes: `basic_ack`, which looks whether the channel is closing, is a system call each."""
        tags = single if upto is None else [upto, *single]
        with as_wire_error():
            await self._channel.basic_ack(tags[0], multiple=upto is not None, wait=False)
            if others := [Basic.Ack(tag) for tag in tags[1:]]:
                await self._channel.write_queue.put(ChannelFrame.marshall(self._channel.number, others))

    async def requeue(self, tags: Sequence[int]) -> None:
        """Give back; see `shared.amqp.wire.ConsumerChannel`."""
        with as_wire_error():
            for tag in tags:
                await self._channel.basic_nack(tag, requeue=True, wait=False)

    async def close(self) -> None:
        """Close it; see `shared.amqp.wire.ConsumerChannel`."""
        with as_wire_error():
            await self._channel.close()


def _read(message: DeliveredMessage, listener: Listener) -> Delivery:
    frame, properties = message.delivery, message.header.properties
    assert isinstance(frame, Basic.Deliver)
    assert frame.delivery_tag is not None
    return Delivery(
        queue=listener.queue,
        exchange=frame.exchange or "",
        routing_key=frame.routing_key or "",
        body=message.body,
        headers=properties.headers or {},
        correlation_id=properties.correlation_id,
        message_id=properties.message_id,
        published_at=properties.timestamp.timestamp() if properties.timestamp else None,
        redelivered=bool(frame.redelivered),
        tag=frame.delivery_tag,
        generation=listener.generation,
        received_at=time.monotonic(),
    )
