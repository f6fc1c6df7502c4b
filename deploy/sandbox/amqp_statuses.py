"""Publishes to RabbitMQ as a gateway would: statuses to `wa.status`, system messages to `wa.inbound`.

Owns its connection and the payloads. The exchanges are declared by `wabus topology declare`, not here.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack

import orjson

from deploy.sandbox.customer_change import CustomerChange
from deploy.sandbox.status_emitter import Telling
from deploy.sandbox.status_plan import StatusEvent, describe_conversation, describe_pricing, error_title
from shared.amqp.client import open_session
from shared.amqp.session import Session
from shared.errors import BrokerUnavailable

STATUS = "wa.status"
INBOUND = "wa.inbound"
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
        "phone_number_id": message.phone_number_id,
    } | message.named.describe("recipient_id", "recipient_user_id")
    optional = {
        "callback_data": message.callback_data,
        "pricing": describe_pricing(event),
        "conversation": describe_conversation(event),
        "errors": None if event.error_code is None else [_describe_error(event.error_code)],
    }
    return orjson.dumps(update | {key: value for key, value in optional.items() if value is not None})


def encode_inbound(change: CustomerChange) -> bytes:
    """The system message as an `InboundMessage` body."""
    message = change.message
    inbound: dict[str, object] = {
        "wamid": message["id"],
        "timestamp": message["timestamp"],
        "wa_id": address_of(change),
        "user_id": message["from_user_id"],
        "message_type": message["type"],
        "content": message,
    }
    number = {} if change.phone_number_id is None else {"phone_number_id": change.phone_number_id}
    return orjson.dumps(inbound | number)


def address_of(change: CustomerChange) -> str:
    """Whom the system message is from: the phone, else the id."""
    return change.before.wa_id or change.before.user_id


def _describe_error(code: int) -> dict[str, object]:
    title = error_title(code)
    return {"code": code, "title": title, "message": title, "details": "Message failed to send."}


class AmqpStatuses:
    """A `StatusSink`. Connects on first use, and again after any failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: Session | None = None
        self._cleanup = AsyncExitStack()
        self._connecting = asyncio.Lock()
        self._warned = False

    async def deliver(self, events: Sequence[Telling]) -> Sequence[Telling]:
        try:
            session = await self._open_session()
        except (BrokerUnavailable, TimeoutError) as error:
            self._warn_once(error)
            await self.close()
            return events
        self._warned = False
        confirmed = await asyncio.gather(*(_publish(session, event) for event in events))
        if not all(confirmed):
            await self.close()
        return [event for event, arrived in zip(events, confirmed, strict=True) if not arrived]

    async def close(self) -> None:
        cleanup, self._cleanup, self._session = self._cleanup, AsyncExitStack(), None
        await cleanup.aclose()

    def _warn_once(self, error: BrokerUnavailable | TimeoutError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "statuses wait: RabbitMQ or its exchange %s is away (%s)",
                STATUS,
                str(error) or type(error).__name__,
            )

    async def _open_session(self) -> Session:
        async with self._connecting:
            if self._session is None:
                async with asyncio.timeout(TIMEOUT_S), AsyncExitStack() as stack:
                    session = await stack.enter_async_context(open_session(self._url, CONNECTION_NAME))
                    if not await session.has_exchange(STATUS):
                        raise BrokerUnavailable("it is not declared")
                    self._session, self._cleanup = session, stack.pop_all()
            return self._session


async def _publish(session: Session, event: Telling) -> bool:
    if isinstance(event, CustomerChange):
        publication = INBOUND, address_of(event), encode_inbound(event)
    else:
        publication = STATUS, ROUTING_KEY, encode_update(event)
    try:
        await session.publish(*publication, timeout_s=TIMEOUT_S)
    except BrokerUnavailable:
        return False
    return True
