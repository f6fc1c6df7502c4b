"""A message to a customer, as an agent gateway, an application or the batcher asks for it."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import to_jsonable_python

from shared.payloads.digest import digest
from shared.payloads.fields import (
    CustomerId,
    Identifier,
    Maybe,
    MediaUrl,
    PlannedTime,
    Side,
    Text,
    Wamid,
    null_means,
)
from shared.payloads.model import Part, Payload
from shared.payloads.schema_rules import Schema, exactly_one_of, none_of, silent, telling_without

Category = Literal["service", "utility", "authentication", "marketing"]
#: What becomes of a message of which nobody knows whether it was sent.
OnAmbiguous = Literal["fail", "resend"]
ContentKind = Literal[
    "message_text", "media_url", "media_id", "template", "interactive", "location", "contacts", "reaction"
]

CONTENT_KINDS: Final[tuple[ContentKind, ...]] = (
    "message_text",
    "media_url",
    "media_id",
    "template",
    "interactive",
    "location",
    "contacts",
    "reaction",
)

#: Longest of the batcher's own ids, `campaign:<campaign id>:<wa_id>`.
_CAMPAIGN_MESSAGE_ID_LENGTH: Final = len("campaign:") + 100 + len(":") + 160


_CLIENT_MESSAGE_ID: Final[Schema] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 100},
        {"type": "string", "pattern": "^campaign:", "maxLength": _CAMPAIGN_MESSAGE_ID_LENGTH},
    ]
}


def _check_client_message_id(value: str) -> str:
    if len(value) > 100 and not value.startswith("campaign:"):
        raise ValueError("string should have at most 100 characters")
    return value


def _language_code(value: object) -> object:
    """The Cloud API's form `{"code": …, "policy": "deterministic"}` names the same language."""
    return value["code"] if isinstance(value, dict) and "code" in value else value


_CODE: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 100}
_LANGUAGE: Final[Schema] = {
    "anyOf": [_CODE, {"type": "object", "properties": {"code": _CODE}, "required": ["code"]}]
}


class Template(Part):
    """An approved template, by name and language; `components` as the Cloud API takes them."""

    name: Annotated[Text, Field(max_length=512)]
    language: Annotated[Identifier, BeforeValidator(_language_code), WithJsonSchema(_LANGUAGE)]
    components: Annotated[list[dict[str, Any]], null_means((), list[dict[str, Any]])] = Field(
        default_factory=list
    )


class Location(Part):
    """A point in degrees, with a name and address for people."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: Maybe[str] = None
    address: Maybe[str] = None


class Reaction(Part):
    """A reaction to the message `message_id`, a wamid; an empty emoji takes it back."""

    message_id: Wamid
    emoji: Annotated[str, null_means("", str)] = ""


class OutboundMessage(Payload):
    """`wa.outbound`. The lane is in the routing key, not here.

    Address: `conversation_id` or `wa_id`; where both are given the conversation decides. Idempotency:
    `genesys_message_id` or `client_message_id`, or both. Content: exactly one of `message_text`, `media_url`,
    `media_id`, `template`, `interactive`, `location`, `contacts` and `reaction`. A `media_id`, of a file that
    was uploaded to the platform, needs `media_type`. Without `on_ambiguous` the lane decides.
    """

    model_config = ConfigDict(
        json_schema_extra=none_of(
            silent("conversation_id", "wa_id"),
            silent("genesys_message_id", "client_message_id"),
            telling_without("media_id", "media_type"),
        )
        | exactly_one_of(*CONTENT_KINDS)
    )

    conversation_id: Maybe[Identifier] = None
    wa_id: Maybe[CustomerId] = None
    phone_number_id: Maybe[Identifier] = None
    genesys_message_id: Maybe[Identifier] = None
    client_message_id: Maybe[
        Annotated[
            Text,
            Field(max_length=_CAMPAIGN_MESSAGE_ID_LENGTH),
            AfterValidator(_check_client_message_id),
            WithJsonSchema(_CLIENT_MESSAGE_ID),
        ]
    ] = None
    message_text: Maybe[Text] = None
    media_url: Maybe[MediaUrl] = None
    media_id: Maybe[Identifier] = None
    media_type: Maybe[Identifier] = None
    caption: Maybe[str] = None
    filename: Maybe[str] = None
    template: Maybe[Template] = None
    interactive: Maybe[Annotated[dict[str, Any], Field(min_length=1)]] = None
    location: Maybe[Location] = None
    contacts: Maybe[Annotated[list[dict[str, Any]], Field(min_length=1)]] = None
    reaction: Maybe[Reaction] = None
    context_wamid: Maybe[Wamid] = None
    category: Maybe[Category] = None
    expires_at: Maybe[PlannedTime] = None
    on_ambiguous: Maybe[OnAmbiguous] = None
    campaign_id: Maybe[Identifier] = None
    notification_id: Maybe[Identifier] = None
    metadata: Side[dict[str, Any]] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.conversation_id is None and self.wa_id is None:
            raise ValueError("conversation_id, wa_id: one of them is required")
        if self.genesys_message_id is None and self.client_message_id is None:
            raise ValueError("genesys_message_id, client_message_id: one of them is required")
        if sum(getattr(self, kind) is not None for kind in CONTENT_KINDS) != 1:
            raise ValueError(f"{', '.join(CONTENT_KINDS)}: exactly one of them is required")
        if self.media_id is not None and self.media_type is None:
            raise ValueError("media_type: required beside media_id, which has no name to tell it by")
        return self

    @property
    def content_kind(self) -> ContentKind:
        """Which of the contents this message has."""
        return next(kind for kind in CONTENT_KINDS if getattr(self, kind) is not None)

    def content_hash(self) -> bytes:
        """16 bytes that differ where the same id says something else (`state_violation`).

        What the customer would get, and who: the address, the content, the quoted message and the category.
        Not how it is handled (`expires_at`, `on_ambiguous`, `campaign_id`, `notification_id`), not its
        `metadata`, no unknown fields beside these: a gateway that asks again may have new ones.
        """
        return digest(to_jsonable_python(self, include=_HASHED))


_HASHED: Final = {
    "conversation_id",
    "wa_id",
    "phone_number_id",
    *CONTENT_KINDS,
    "media_type",
    "caption",
    "filename",
    "context_wamid",
    "category",
}
