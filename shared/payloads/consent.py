"""What a customer wants to be sent, as we tell it."""

from typing import ClassVar, Literal

from shared.payloads.fields import UtcTime
from shared.payloads.model import Event


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
