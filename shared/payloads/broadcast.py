"""A campaign, and what an operator may do to it."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import to_jsonable_python

from shared.payloads.digest import digest
from shared.payloads.fields import (
    ContactName,
    CustomerId,
    EventTime,
    Identifier,
    Maybe,
    PlannedTime,
    Side,
    Text,
    null_means,
)
from shared.payloads.model import Part, Payload
from shared.payloads.outbound import Category, OnAmbiguous, Template
from shared.payloads.schema_rules import exactly_one_of


class Recipient(Part):
    """One customer of a campaign, with the values that the template or text takes for them."""

    wa_id: CustomerId
    variables: Maybe[dict[str, Any]] = None


_BatchSize = Annotated[int, Field(ge=1, le=10_000)]
_BatchDelay = Annotated[int, Field(ge=0, le=86_400_000)]


class BroadcastCampaign(Payload):
    """`wa.broadcast`, key `campaign.launch`. Exactly one of `template` and `message_text`.

    Without `recipients`, or with none in it, they are rows of `broadcast_recipients` already.
    `on_ambiguous` goes into each message; without it the lane decides.
    """

    model_config = ConfigDict(json_schema_extra=exactly_one_of("template", "message_text"))

    campaign_id: Identifier
    phone_number_id: Identifier
    template: Maybe[Template] = None
    message_text: Maybe[Text] = None
    recipients: Maybe[Annotated[list[Recipient], Field(fail_fast=True)]] = None
    name: Side[ContactName] = None
    category: Maybe[Category] = None
    batch_size: Annotated[_BatchSize, null_means(50, _BatchSize)] = 50
    batch_delay_ms: Annotated[_BatchDelay, null_means(1000, _BatchDelay)] = 1000
    scheduled_at: Maybe[PlannedTime] = None
    on_ambiguous: Maybe[OnAmbiguous] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.template is None) == (self.message_text is None):
            raise ValueError("template, message_text: exactly one of them is required")
        return self

    def fields_hash(self) -> bytes:
        """16 bytes that differ where the same campaign is launched with other content (`state_violation`).

        Every field of this model; not unknown fields. Recipients count by customer: their order does not
        matter, and of a customer named twice the first counts.
        """
        fields = to_jsonable_python(self, include=_HASHED)
        recipients = {recipient["wa_id"]: recipient for recipient in reversed(fields["recipients"] or [])}
        return digest({**fields, "recipients": recipients})


_HASHED: Final = set(BroadcastCampaign.model_fields)


class CampaignControl(Payload):
    """`wa.broadcast`, keys `campaign.pause`, `.resume`, `.cancel`. The latest `requested_at` wins."""

    campaign_id: Identifier
    action: Literal["pause", "resume", "cancel"]
    requested_at: EventTime
