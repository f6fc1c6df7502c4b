"""From one webhook of Meta to what a gateway publishes: each message and each status by itself.

Python and nothing else. Checking the signature, publishing and answering Meta are the gateway's; what to
answer stands in `deploy/connect.md`.

    python meta_webhook.py < webhook.json      # one line each: exchange, routing key, body
"""

import json
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple


class Publication(NamedTuple):
    """What goes to RabbitMQ."""

    exchange: str
    routing_key: str
    body: dict[str, Any]


def translate(webhook: dict[str, Any]) -> Iterator[Publication]:
    """Every message and status that the webhook holds, in its order; other fields of the app give none."""
    for entry in webhook.get("entry", []):
        for change in entry.get("changes", []):
            if change.get("field") == "messages":
                value = change["value"]
                for message in value.get("messages", []):
                    if sender := message.get("from") or message.get("from_user_id"):
                        yield Publication("wa.inbound", sender, inbound(message, sender, value))
                for status in value.get("statuses", []):
                    yield Publication("wa.status", "whatsapp", status_update(status))


def inbound(message: dict[str, Any], sender: str, value: dict[str, Any]) -> dict[str, Any]:
    """An InboundMessage. A key that has no value is left out."""
    metadata = value.get("metadata", {})
    return without_nothing(
        wamid=message["id"],
        timestamp=message["timestamp"],
        wa_id=sender,
        user_id=message.get("from_user_id"),
        phone_number_id=metadata.get("phone_number_id"),
        display_phone_number=metadata.get("display_phone_number"),
        contact_name=name_of(message, value),
        message_type=message.get("type"),
        message_text=text_of(message),
        context_wamid=message.get("context", {}).get("id"),
        content=message,
    )


def status_update(status: dict[str, Any]) -> dict[str, Any]:
    """A StatusUpdate."""
    return without_nothing(
        wamid=status["id"],
        status=status["status"],
        timestamp=status["timestamp"],
        recipient_id=status.get("recipient_id"),
        recipient_user_id=status.get("recipient_user_id"),
        callback_data=status.get("biz_opaque_callback_data"),
        errors=status.get("errors"),
        pricing=status.get("pricing"),
        conversation=status.get("conversation"),
    )


def text_of(message: dict[str, Any]) -> str | None:
    """What the customer wrote or chose; None where the message has no words."""
    match message:
        case {"type": "text", "text": {"body": text}} | {"type": "button", "button": {"text": text}}:
            return str(text)
        case {"type": "interactive", "interactive": {"button_reply": {"title": title}}}:
            return str(title)
        case {"type": "interactive", "interactive": {"list_reply": {"title": title}}}:
            return str(title)
        case {"type": kind}:
            part = message.get(kind)
            return part.get("caption") if isinstance(part, dict) else None
        case _:
            return None


def name_of(message: dict[str, Any], value: dict[str, Any]) -> str | None:
    """By the contact's id, never by its place: contacts may be fewer, or in another order."""
    ids = {message.get("from"), message.get("from_user_id")} - {None}
    for contact in value.get("contacts", []):
        if ids & {contact.get("wa_id"), contact.get("user_id")}:
            name: str | None = contact.get("profile", {}).get("name")
            return name
    return None


def without_nothing(**fields: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


if __name__ == "__main__":
    for publication in translate(json.load(sys.stdin)):
        sys.stdout.write(f"{publication.exchange} {publication.routing_key} {json.dumps(publication.body)}\n")
