"""What one recipient of a campaign is sent, or why nothing. Pure.

Owns the order of the reasons: consent first, then the platform's window, then the content.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from shared.messaging.campaigns.rendering import MissingVariable, render_template, render_text, texts_of
from shared.payloads import Category, OutboundMessage, Template
from shared.payloads.outbound import OnAmbiguous

#: What a campaign is about unless it says otherwise; the bulk lane has the same default.
DEFAULT_CATEGORY: Final[Category] = "marketing"


class SkipReason(StrEnum):
    """Why a recipient is sent nothing (`broadcast_recipients.skip_reason`)."""

    OPTED_OUT = "opted_out"
    #: Free text, and the customer has not written to this number within the customer service window.
    WINDOW_CLOSED = "window_closed"
    MISSING_VARIABLE = "missing_variable"
    #: Their values cannot be read, or make no message: the others of the batch go on.
    UNREADABLE = "unreadable"
    CAMPAIGN_CANCELLED = "campaign_cancelled"
    #: Another address of somebody whom the campaign reaches under the first one.
    SAME_CUSTOMER = "same_customer"


@dataclass(frozen=True, slots=True)
class Content:
    """What a campaign says, and from which number. Exactly one of `template` and `message_text`."""

    campaign_id: str
    phone_number_id: str
    template: Template | None
    message_text: str | None
    category: Category = DEFAULT_CATEGORY
    on_ambiguous: OnAmbiguous | None = None


@dataclass(frozen=True, slots=True)
class Reachability:
    """What is known of a customer: consent, and whether free text of this number reaches them.

    `customer`: the person. `is_reached`: the campaign has sent to them, under another address too.
    """

    customer: str
    is_reached: bool
    refuses_marketing: bool
    refuses_all: bool
    window_open: bool


def once(reachability: Reachability, reached: Container[str]) -> Reachability:
    """As it is for one who comes after those that are reached: each person is sent to once."""
    return replace(reachability, is_reached=reachability.is_reached or reachability.customer in reached)


def prepare(
    content: Content, wa_id: str, variables: Mapping[str, Any] | None, reachability: Reachability
) -> OutboundMessage | SkipReason:
    """The message for one recipient, or the reason why there is none.

    Its `client_message_id` is the same whenever it is prepared again, and so is what it says.
    """
    if reachability.is_reached:
        return SkipReason.SAME_CUSTOMER
    if reachability.refuses_all or (reachability.refuses_marketing and content.category == "marketing"):
        return SkipReason.OPTED_OUT
    if content.template is None and not reachability.window_open:
        return SkipReason.WINDOW_CLOSED
    try:
        return _message(content, wa_id, variables)
    except MissingVariable:
        return SkipReason.MISSING_VARIABLE


def _message(content: Content, wa_id: str, variables: Mapping[str, Any] | None) -> OutboundMessage:
    texts = texts_of(variables)
    template, text = content.template, content.message_text
    return OutboundMessage(
        wa_id=wa_id,
        phone_number_id=content.phone_number_id,
        client_message_id=f"campaign:{content.campaign_id}:{wa_id}",
        campaign_id=content.campaign_id,
        category=content.category,
        on_ambiguous=content.on_ambiguous,
        template=None if template is None else render_template(template, texts),
        message_text=None if text is None else render_text(text, texts),
    )
