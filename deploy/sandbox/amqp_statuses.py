"""Publishes statuses to RabbitMQ as a gateway would: `StatusUpdate` bodies to `wa.status`, confirmed.

Owns its connection and the payload. The exchange is declared by `wabus topology declare`, not here.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence

import orjson
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.channel import Channel
from pamqp.commands import Basic

from deploy.sandbox.status_plan import StatusEvent, describe_conversation, describe_pricing, error_title
from shared.amqp.opening import open_connection

EXCHANGE = "wa.status"
ROUTING_KEY = "whatsapp"
CONNECTION_NAME = "wabus-sandbox"
TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


def encode_update(event: StatusEvent) -> bytes:
    """The event as a `StatusUpdate` body; what the platform leaves out is left out."""
    message = event.message
    update: dict[str, object] = {
        "wamid": message.wamid,
        "status": event.status,
        "timestamp": str(event.occurred_at),
        "recipient_id" if message.to.isdigit() else "user_id": message.to,
        "phone_number_id": message.phone_number_id,
    }
    optional = {
        "callback_data": message.callback_data,
        "pricing": describe_pricing(event),
        "conversation": describe_conversation(event),
        "errors": None if event.error_code is None else [_describe_error(event.error_code)],
    }
    return orjson.dumps(update | {key: value for key, value in optional.items() if value is not None})


def _describe_error(code: int) -> dict[str, object]:
    title = error_title(code)
    return {"code": code, "title": title, "message": title, "details": "Message failed to send."}


class AmqpStatuses:
    """A `StatusSink`. Connects on first use, and again after any failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: Channel | None = None
        self._connecting = asyncio.Lock()
        self._warned = False

    async def deliver(self, events: Sequence[StatusEvent]) -> Sequence[StatusEvent]:
        try:
            channel = await self._open_channel()
        except CONNECTION_EXCEPTIONS as error:
            self._warn_once(type(error).__name__)
            await self.close()
            return events
        self._warned = False
        confirmed = await asyncio.gather(*(self._publish(channel, event) for event in events))
        if not all(confirmed):
            await self.close()
        return [event for event, arrived in zip(events, confirmed, strict=True) if not arrived]

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await connection.close()
        except CONNECTION_EXCEPTIONS:
            _log.debug("the connection was already gone")

    def _warn_once(self, reason: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("statuses wait: RabbitMQ or its exchange %s is away (%s)", EXCHANGE, reason)

    async def _open_channel(self) -> Channel:
        async with self._connecting:
            if self._channel is None:
                async with asyncio.timeout(TIMEOUT_S):
                    self._connection = await open_connection(self._url, CONNECTION_NAME)
                    channel = await self._connection.channel()
                    await channel.get_exchange(EXCHANGE, ensure=True)
                    underlay = await channel.get_underlay_channel()
                    assert isinstance(underlay, Channel)
                    self._channel = underlay
            return self._channel

    async def _publish(self, channel: Channel, event: StatusEvent) -> bool:
        properties = Basic.Properties(
            content_type="application/json", delivery_mode=2, message_id=str(uuid.uuid4())
        )
        try:
            # below aio-pika, which costs half as much again for a status
            await channel.basic_publish(
                encode_update(event),
                exchange=EXCHANGE,
                routing_key=ROUTING_KEY,
                properties=properties,
                timeout=TIMEOUT_S,
                wait=False,
            )
        except CONNECTION_EXCEPTIONS:
            return False
        return True
