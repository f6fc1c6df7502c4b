"""Posts statuses and system messages to a webhook in the platform's own shape, several in one request.

Owns the shape and the HTTP client. It signs nothing: the sandbox has no app secret.
"""

from collections import defaultdict
from collections.abc import Sequence

import aiohttp
import orjson

from deploy.sandbox.customer_change import CustomerChange
from deploy.sandbox.status_emitter import Telling
from deploy.sandbox.status_plan import StatusEvent, describe_conversation, describe_pricing, error_title

TIMEOUT_S = 10.0
BUSINESS_ACCOUNT_ID = "sandbox"


def encode_webhook(phone_number_id: str | None, events: Sequence[Telling]) -> bytes:
    """The body of one webhook call about one business number (None: to no certain one)."""
    value: dict[str, object] = {"messaging_product": "whatsapp"}
    if phone_number_id is not None:
        value["metadata"] = {"display_phone_number": phone_number_id, "phone_number_id": phone_number_id}
    parts = {
        "statuses": [_describe(event) for event in events if isinstance(event, StatusEvent)],
        "messages": [event.message for event in events if isinstance(event, CustomerChange)],
    }
    value |= {name: part for name, part in parts.items() if part}
    change = {"value": value, "field": "messages"}
    entry = {"id": BUSINESS_ACCOUNT_ID, "changes": [change]}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


def _describe(event: StatusEvent) -> dict[str, object]:
    message = event.message
    status: dict[str, object] = {
        "id": message.wamid,
        "status": event.status,
        "timestamp": str(event.occurred_at),
    } | message.named.describe("recipient_id", "recipient_user_id")
    optional = {
        "biz_opaque_callback_data": message.callback_data,
        "pricing": describe_pricing(event),
        "conversation": describe_conversation(event),
        "errors": None if event.error_code is None else [_describe_error(event.error_code)],
    }
    return status | {key: value for key, value in optional.items() if value is not None}


def _describe_error(code: int) -> dict[str, object]:
    title = error_title(code)
    details = {"details": "Message failed to send."}
    return {"code": code, "title": title, "message": title, "error_data": details}


class WebhookStatuses:
    """A `StatusSink`. Anything but a 2xx answer is tried again, as the platform does."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: aiohttp.ClientSession | None = None

    async def deliver(self, events: Sequence[Telling]) -> Sequence[Telling]:
        by_number: defaultdict[str | None, list[Telling]] = defaultdict(list)
        for event in events:
            by_number[event.phone_number_id].append(event)
        undelivered: list[Telling] = []
        for phone_number_id, group in by_number.items():
            if not await self._post(encode_webhook(phone_number_id, group)):
                undelivered += group
        return undelivered

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _post(self, body: bytes) -> bool:
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        headers = {"Content-Type": "application/json"}
        try:
            async with self._client.post(self._url, data=body, headers=headers) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
