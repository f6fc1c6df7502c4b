"""What a customer wants to be sent: as others tell it, and as we do."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, model_validator

from shared.payloads.fields import CustomerId, EventTime, Identifier, Maybe, UtcTime
from shared.payloads.model import Event, Payload
from shared.payloads.schema_rules import none_of, silent

_Evidence = Annotated[str, Field(min_length=1, max_length=255)]


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
    evidence: Maybe[_Evidence] = None

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
