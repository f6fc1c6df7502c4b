"""What became of a message, as a gateway reports it."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from shared.payloads.fields import EventTime, ForeignCustomerId, Identifier, Text, Wamid
from shared.payloads.model import Payload

#: The Cloud API's limit of `biz_opaque_callback_data`.
CallbackData = Annotated[Text, Field(max_length=512)]


class StatusError(Payload):
    """One error of a failed message, with the platform's code."""

    code: Annotated[int | Identifier | None, Field(union_mode="left_to_right")] = None
    title: str | None = None
    message: str | None = None
    details: str | dict[str, Any] | None = None


class StatusUpdate(Payload):
    """`wa.status`. `status` is any text: one that is not known is stored and changes nothing."""

    status: Identifier
    timestamp: EventTime
    wamid: Wamid | None = None
    genesys_message_id: Identifier | None = None
    callback_data: CallbackData | None = None
    recipient_id: ForeignCustomerId | None = None
    user_id: ForeignCustomerId | None = None
    errors: Annotated[list[StatusError], Field(fail_fast=True)] | None = None
    pricing: dict[str, Any] | None = None
    conversation: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.wamid is None and self.genesys_message_id is None and self.callback_data is None:
            raise ValueError("wamid, genesys_message_id, callback_data: one of them is required")
        return self
