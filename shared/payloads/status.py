"""What became of a message, as a gateway reports it."""

from contextlib import suppress
from typing import Annotated, Any, Final, Self

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, model_validator

from shared.payloads.fields import (
    EventTime,
    Identifier,
    Maybe,
    Side,
    SideCustomerId,
    Text,
    Wamid,
)
from shared.payloads.model import Part, Payload
from shared.payloads.schema_rules import none_of, silent

_TOO_LONG: Final = 2**63
_CODE_LENGTH: Final = 100
#: The Cloud API's limit of `biz_opaque_callback_data`.
CallbackData = Annotated[Text, Field(max_length=512)]


def _fit_code(code: object) -> object:
    """An integer of 64 bits, or a short text; a longer one says nothing, and is dropped."""
    if isinstance(code, bool) or not isinstance(code, int | str):
        return code
    number: int | None = None
    with suppress(ValueError):  # a text, or one of thousands of digits
        number = int(code)
    if number is not None and -_TOO_LONG <= number < _TOO_LONG:
        return number
    text = code if isinstance(code, str) else str(code) if abs(code) < 10**_CODE_LENGTH else ""
    return text if 0 < len(text) <= _CODE_LENGTH else None


#: A side field: what does not fit is dropped, not its message.
ErrorCode = Annotated[
    Side[Annotated[int | Identifier, Field(union_mode="left_to_right")]], BeforeValidator(_fit_code)
]


class StatusError(Part):
    """One error of a failed message, with the platform's code."""

    code: ErrorCode = None
    title: Side[str] = None
    message: Side[str] = None
    details: Side[str | dict[str, Any]] = None


def _as_list(value: object) -> object:
    """One error that stands there alone is a list of one."""
    return [value] if isinstance(value, dict) else value


class StatusUpdate(Payload):
    """`wa.status`. `status` is any text: `Delivered` is delivered; one that is not known changes nothing.

    `user_id` is read as `recipient_user_id`.
    """

    model_config = ConfigDict(
        json_schema_extra=none_of(silent("wamid", "genesys_message_id", "callback_data"))
    )

    status: Identifier
    timestamp: EventTime
    wamid: Maybe[Wamid] = None
    genesys_message_id: Maybe[Identifier] = None
    callback_data: Maybe[CallbackData] = None
    recipient_id: Side[SideCustomerId] = None
    recipient_user_id: Annotated[
        Side[SideCustomerId], Field(validation_alias=AliasChoices("recipient_user_id", "user_id"))
    ] = None
    errors: Side[Annotated[list[StatusError], Field(fail_fast=True), BeforeValidator(_as_list)]] = None
    pricing: Side[dict[str, Any]] = None
    conversation: Side[dict[str, Any]] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.wamid is None and self.genesys_message_id is None and self.callback_data is None:
            raise ValueError("wamid, genesys_message_id, callback_data: one of them is required")
        return self
