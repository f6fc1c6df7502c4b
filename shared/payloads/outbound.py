"""A message to a customer, as an agent gateway, an application or the batcher asks for it."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import to_jsonable_python

from shared.payloads.digest import digest
from shared.payloads.fields import CustomerId, Identifier, PlannedTime, Text, Wamid, null_means
from shared.payloads.model import Payload

Category = Literal["service", "utility", "authentication", "marketing"]
ContentKind = Literal[
    "message_text", "media_url", "template", "interactive", "location", "contacts", "reaction"
]

CONTENT_KINDS: Final[tuple[ContentKind, ...]] = (
    "message_text",
    "media_url",
    "template",
    "interactive",
    "location",
    "contacts",
    "reaction",
)

#: Longest of the batcher's own ids, `campaign:<campaign id>:<wa_id>`.
_CAMPAIGN_MESSAGE_ID_LENGTH: Final = len("campaign:") + 100 + len(":") + 160


def _check_client_message_id(value: str) -> str:
    if len(value) > 100 and not value.startswith("campaign:"):
        raise ValueError("string should have at most 100 characters")
    return value


def _language_code(value: object) -> object:
    """The Cloud API's form `{"code": …, "policy": "deterministic"}` names the same language."""
    return value["code"] if isinstance(value, dict) and "code" in value else value


class Template(Payload):
    """An approved template, by name and language; `components` as the Cloud API takes them."""

    name: Annotated[Text, Field(max_length=512)]
    language: Annotated[
        Identifier,
        BeforeValidator(_language_code),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "string", "minLength": 1, "maxLength": 100},
                    {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
                ]
            }
        ),
    ]
    components: Annotated[list[dict[str, Any]], null_means((), list[dict[str, Any]])] = Field(
        default_factory=list
    )


class Location(Payload):
    """A point in degrees, with a name and address for people."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    name: str | None = None
    address: str | None = None


class Reaction(Payload):
    """A reaction to the message `message_id`, a wamid; an empty emoji takes it back."""

    message_id: Wamid
    emoji: Annotated[str, null_means("", str)] = ""


class OutboundMessage(Payload):
    """`wa.outbound`. The lane is in the routing key, not here.

    Address: `conversation_id` or `wa_id`; where both are given the conversation decides. Idempotency:
    `genesys_message_id` or `client_message_id`, or both. Content: exactly one of `CONTENT_KINDS`.
    `on_ambiguous` None leaves it to the lane.
    """

    conversation_id: Identifier | None = None
    wa_id: CustomerId | None = None
    phone_number_id: Identifier | None = None
    genesys_message_id: Identifier | None = None
    client_message_id: (
        Annotated[
            Text, Field(max_length=_CAMPAIGN_MESSAGE_ID_LENGTH), AfterValidator(_check_client_message_id)
        ]
        | None
    ) = None
    message_text: Text | None = None
    media_url: Text | None = None
    media_type: Identifier | None = None
    caption: str | None = None
    filename: str | None = None
    template: Template | None = None
    interactive: Annotated[dict[str, Any], Field(min_length=1)] | None = None
    location: Location | None = None
    contacts: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    reaction: Reaction | None = None
    context_wamid: Wamid | None = None
    category: Category | None = None
    expires_at: PlannedTime | None = None
    on_ambiguous: Literal["fail", "resend"] | None = None
    campaign_id: Identifier | None = None
    metadata: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.conversation_id is None and self.wa_id is None:
            raise ValueError("conversation_id, wa_id: one of them is required")
        if self.genesys_message_id is None and self.client_message_id is None:
            raise ValueError("genesys_message_id, client_message_id: one of them is required")
        if sum(getattr(self, kind) is not None for kind in CONTENT_KINDS) != 1:
            raise ValueError(f"{', '.join(CONTENT_KINDS)}: exactly one of them is required")
        return self

    @property
    def content_kind(self) -> ContentKind:
        """Which of the contents this message has."""
        return next(kind for kind in CONTENT_KINDS if getattr(self, kind) is not None)

    def content_hash(self) -> bytes:
        """16 bytes that differ where the same id says something else (`state_violation`).

        What the customer would get, and who: the address, the content, the quoted message and the category.
        Not how it is handled (`expires_at`, `on_ambiguous`, `campaign_id`), not `metadata`, no unknown
        fields beside these: a gateway that asks again may have new ones.
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
