"""A channel on AMQP frames with a consumer on it: see `shared.amqp.wire.ConsumerChannel`."""

import time
from collections.abc import Sequence

from pamqp import commands

from shared.amqp.delivery import Delivery
from shared.amqp.frames.channel import ChannelGone, FramesChannel
from shared.amqp.frames.reading import MessageContent, read_properties, read_route
from shared.amqp.frames.writing import write_acks, write_requeues
from shared.amqp.wire import Listener


class FramesConsumer:
    """Its deliveries are read and handed over as their last byte is there, without a task."""

    def __init__(self, channel: FramesChannel) -> None:
        self._channel = channel

    @property
    def is_closed(self) -> bool:
        """Whether it is of no use; see `shared.amqp.wire.ConsumerChannel`."""
        return self._channel.is_closed

    def listen(self, listener: Listener) -> None:
        """Tell of what comes; see `shared.amqp.wire.ConsumerChannel`."""

        def on_content(content: MessageContent, _: bool) -> None:
            listener.on_delivery(_read(content, listener))

        def on_gone(error: ConnectionError) -> None:
            is_told = isinstance(error, ChannelGone) and error.is_told
            listener.on_closed(str(error) if is_told else None)

        self._channel.on_content = on_content
        self._channel.on_cancelled = listener.on_cancelled
        self._channel.on_gone = on_gone

    async def consume(self, queue: str, prefetch: int) -> str:
        """Start; see `shared.amqp.wire.ConsumerChannel`."""
        await self._channel.call(commands.Basic.Qos(0, prefetch, False), commands.Basic.QosOk)
        consumed = await self._channel.call(commands.Basic.Consume(0, queue), commands.Basic.ConsumeOk)
        return str(consumed.consumer_tag)

    async def cancel(self, tag: str) -> None:
        """Stop; see `shared.amqp.wire.ConsumerChannel`."""
        await self._channel.call(commands.Basic.Cancel(tag), commands.Basic.CancelOk)

    async def acknowledge(self, upto: int | None, single: Sequence[int]) -> None:
        """In one write; see `shared.amqp.wire.ConsumerChannel`."""
        self._channel.write(write_acks(self._channel.number, upto, single))
        await self._channel.drain()

    async def requeue(self, tags: Sequence[int]) -> None:
        """In one write; see `shared.amqp.wire.ConsumerChannel`."""
        self._channel.write(write_requeues(self._channel.number, tags))
        await self._channel.drain()

    async def close(self) -> None:
        """Close it; see `shared.amqp.wire.ConsumerChannel`."""
        await self._channel.close()


def _read(content: MessageContent, listener: Listener) -> Delivery:
    route, properties = read_route(content.method), read_properties(content.header)
    return Delivery(
        queue=listener.queue,
        exchange=route.exchange,
        routing_key=route.routing_key,
        body=content.body,
        headers=properties.headers,
        correlation_id=properties.correlation_id,
        message_id=properties.message_id,
        published_at=properties.timestamp.timestamp() if properties.timestamp else None,
        redelivered=route.redelivered,
        tag=route.tag,
        generation=listener.generation,
        received_at=time.monotonic(),
    )
