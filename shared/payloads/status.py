"""What became of a message, as a gateway reports it."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.payloads.fields import (
    EventTime,
    Identifier,
    Maybe,
    Side,
    SideCustomerId,
    Text,
    Wamid,
)
from shared.payloads.model import Payload

#: The Cloud API's limit of `biz_opaque_callback_data`.
CallbackData = Annotated[Text, Field(max_length=512)]


class StatusError(Payload):
    """One error of a failed message, with the platform's code."""

    code: Side[Annotated[int | Identifier, Field(union_mode="left_to_right")]] = None
    title: Side[str] = None
    message: Side[str] = None
    details: Side[str | dict[str, Any]] = None


def _as_list(value: object) -> object:
    """One error that stands there alone is a list of one."""
    return [value] if isinstance(value, dict) else value


class StatusUpdate(Payload):
    """`wa.status`. `status` is any text: one that is not known is stored and changes nothing."""

    status: Identifier
    timestamp: EventTime
    wamid: Maybe[Wamid] = None
    genesys_message_id: Maybe[Identifier] = None
    callback_data: Maybe[CallbackData] = None
    recipient_id: Side[SideCustomerId] = None
    user_id: Side[SideCustomerId] = None
    errors: Side[Annotated[list[StatusError], Field(fail_fast=True), BeforeValidator(_as_list)]] = None
    pricing: Side[dict[str, Any]] = None
    conversation: Side[dict[str, Any]] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.wamid is None and self.genesys_message_id is None and self.callback_data is None:
            raise ValueError("wamid, genesys_message_id, callback_data: one of them is required")
        return self
