"""The body of a send call, checked whole: who it goes to, its type, and that the platform would take it.

Owns the top level of the body. Unknown parameters at the top level are ignored, as the Graph API does.
"""

import re
from dataclasses import dataclass

import orjson

from deploy.sandbox.contents import CONTENT_CHECKS
from deploy.sandbox.fields import Fields, refuse
from deploy.sandbox.graph_errors import INVALID_PARAMETER, PARAMETER_VALUE_INVALID

CALLBACK_DATA_LENGTH = 512
_PHONE_PUNCTUATION = re.compile(r"[\s()+.-]")
_PHONE = re.compile(r"[1-9][0-9]{4,14}")
_USER_ID = re.compile(r"[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}")


@dataclass(frozen=True, slots=True)
class SendRequest:
    """A message that the platform can take. `recipient`: digits or a user id; `addressed_as`: as sent."""

    recipient: str
    addressed_as: str
    type: str
    callback_data: str | None


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """The same call with `status: read`: marks a customer's message as read."""

    message_id: str


def parse_body(content_type: str, body: bytes) -> SendRequest | ReadReceipt:
    """The request that `body` makes. Raises `RequestRefused` for all that the platform would not take."""
    fields = _decode(content_type, body)
    fields.choice("messaging_product", ("whatsapp",))
    if fields.has("status"):
        return _parse_receipt(fields)
    addressed_as, recipient = _parse_recipient(fields)
    kind = fields.choice("type", tuple(CONTENT_CHECKS)) if fields.has("type") else "text"
    if fields.has("recipient_type"):
        fields.choice("recipient_type", ("individual", "group"))
    if fields.has("context"):
        fields.object("context").text("message_id", 255)
    CONTENT_CHECKS[kind](fields, kind)
    callback_data = fields.optional_text("biz_opaque_callback_data", CALLBACK_DATA_LENGTH)
    return SendRequest(recipient, addressed_as, kind, callback_data)


def _decode(content_type: str, body: bytes) -> Fields:
    if content_type != "application/json":
        refuse(INVALID_PARAMETER, f"The body must be application/json, not {content_type}.")
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse(INVALID_PARAMETER, "The body is not valid JSON.")
    if not isinstance(decoded, dict):
        refuse(INVALID_PARAMETER, "The body must be a JSON object.")
    return Fields(decoded)


def _parse_receipt(fields: Fields) -> ReadReceipt:
    fields.choice("status", ("read",))
    if fields.has("typing_indicator"):
        fields.object("typing_indicator").choice("type", ("text",))
    return ReadReceipt(fields.text("message_id", 255))


def _parse_recipient(fields: Fields) -> tuple[str, str]:
    """(as addressed, normalised). A phone number wins where both are given."""
    if fields.has("recipient") and not fields.has("to"):
        user_id = fields.text("recipient", 160)
        if not _USER_ID.fullmatch(user_id):
            refuse(PARAMETER_VALUE_INVALID, "recipient is not a business-scoped user id.")
        return user_id, user_id
    phone = fields.text("to", 160)
    digits = _PHONE_PUNCTUATION.sub("", phone)
    if not _PHONE.fullmatch(digits):
        refuse(PARAMETER_VALUE_INVALID, "to is not a valid phone number.")
    return phone, digits
