"""What an inbound message tells of who its customer is. Pure.

Owns where it stands: beside the sender's address, and in the platform's system messages of a change.
"""

from collections.abc import Iterator
from typing import Any

from shared.messaging.customers.evidence import AddressEvidence
from shared.payloads import InboundMessage
from shared.payloads.fields import read_customer_id

_NUMBER = "user_changed_number"
_ID = "user_changed_user_id"


def address_of(message: InboundMessage) -> str:
    """The address under which its customer is known from this message on: the new one, if it tells of one."""
    change = _system(message)
    if change.get("type") == _NUMBER and (new := read_customer_id(change.get("wa_id"))) is not None:
        return new
    if change.get("type") == _ID and not message.wa_id.isdigit():
        return read_customer_id(change.get("user_id")) or message.wa_id
    return message.wa_id


def ids_of(message: InboundMessage) -> tuple[str, ...]:
    """The business-scoped ids that stand beside the address, as far as they have the form of one."""
    told = (message.user_id, message.parent_user_id) if not _system(message).get("type") else ()
    ids = (read_customer_id(item) for item in told)
    return tuple(item for item in ids if item is not None and not item.isdigit() and item != message.wa_id)


def changes_of(message: InboundMessage, trace_id: str) -> Iterator[AddressEvidence]:
    """An address given up for another, as the platform tells it."""
    change = _system(message)
    match change.get("type"):
        case "user_changed_number":
            old, new = message.wa_id, read_customer_id(change.get("wa_id"))
        case "user_changed_user_id":
            old, new = message.user_id or message.wa_id, read_customer_id(change.get("user_id"))
        case _:
            return
    if read_customer_id(old) is not None and old != new:
        yield _evidence(message, trace_id, old, new, is_change=True)


def pairs_of(message: InboundMessage, trace_id: str) -> Iterator[AddressEvidence]:
    """Ids of the same person as the address."""
    for item in ids_of(message):
        yield _evidence(message, trace_id, message.wa_id, item, is_change=False)


def _evidence(
    message: InboundMessage, trace_id: str, address: str, other: str | None, *, is_change: bool
) -> AddressEvidence:
    return AddressEvidence(
        address,
        other,
        "system" if is_change else "inbound",
        message.timestamp,
        trace_id,
        is_change=is_change,
        own_number=message.display_phone_number,
    )


def _system(message: InboundMessage) -> dict[str, Any]:
    """The platform's object of a system message, which is itself the content in some gateways."""
    if message.message_type != "system" or message.content is None:
        return {}
    inner = message.content.get("system", message.content)
    return inner if isinstance(inner, dict) else {}
