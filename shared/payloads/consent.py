"""What a customer wants to be sent: as others and the platform's own switch tell it, and as we do."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import orjson
from pydantic import ConfigDict, Field, StrictBool, model_validator

from shared.payloads.decoding import InvalidPayload, decode
from shared.payloads.fields import CustomerId, EventTime, Identifier, Maybe, UtcTime
from shared.payloads.model import Event, Payload
from shared.payloads.schema_rules import none_of, silent

#: What Meta's switch may be turned to, and whether marketing is wanted then.
_SWITCHED: Final[Mapping[object, bool]] = {"stop": False, "resume": True}
Evidence = Annotated[str, Field(min_length=1, max_length=255)]


class ConsentChange(Payload):
    """`wa.shop`, key `consent`: what a customer wants since `occurred_at`, as `source` has it.

    `marketing` and `notifications`, of which at least one is there: whether they want what is sent by itself.
    `evidence`: what proves it, for people.
    """

    model_config = ConfigDict(json_schema_extra=none_of(silent("marketing", "notifications")))

    wa_id: CustomerId
    marketing: Maybe[StrictBool] = None
    notifications: Maybe[StrictBool] = None
    source: Identifier
    occurred_at: EventTime
    evidence: Maybe[Evidence] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.marketing is None and self.notifications is None:
            raise ValueError("marketing, notifications: one of them is required")
        return self


class ConsentChanged(Event):
    """`consent.changed`: what a customer wants from now on, and did not before; `source` told it.

    Of one customer and kind the later `occurred_at` is the later state, at equal times a refusal.
    """

    EVENT_TYPE: ClassVar[str] = "consent.changed"

    customer: str
    kind: Literal["marketing", "notifications"]
    value: bool
    source: str
    occurred_at: UtcTime
    timestamp: UtcTime
    trace_id: str | None = None


def read_user_preferences(value: Mapping[str, Any]) -> Iterator[ConsentChange]:
    """What customers switched in WhatsApp itself: the `value` of Meta's webhook field `user_preferences`.

    Other preferences than marketing, and other words than stop and resume, say nothing. Raises InvalidPayload
    where one that does say something cannot be read.
    """
    told = value.get("user_preferences")
    if not isinstance(told, list) or not all(isinstance(item, dict) for item in told):
        raise InvalidPayload("user_preferences: not a list of objects")
    for item in told:
        if item.get("category") == "marketing_messages" and item.get("value") in ("stop", "resume"):
            yield _read_switch(item)


def _read_switch(item: Mapping[str, Any]) -> ConsentChange:
    detail = item.get("detail")
    change = {
        "wa_id": item.get("wa_id") or item.get("user_id"),
        "marketing": _SWITCHED[item["value"]],
        "source": "whatsapp",
        "occurred_at": item.get("timestamp"),
        "evidence": detail[:255] if isinstance(detail, str) else None,
    }
    return decode(ConsentChange, orjson.dumps(change))
