"""What each payload requires, allows and carries, and what its hashes tell apart."""

import json
from typing import Any

import pytest

from shared.payloads import (
    CONTENT_KINDS,
    BroadcastCampaign,
    CampaignControl,
    ConversationClosed,
    ConversationCorrelation,
    InboundMessage,
    InvalidPayload,
    OutboundMessage,
    StatusUpdate,
    decode,
)

INBOUND = {"wamid": "wamid.A1", "timestamp": 1714979289, "wa_id": "+491700000001"}
OUTBOUND = {"conversation_id": "c-1", "genesys_message_id": "g-1", "message_text": "hello"}
STATUS = {"status": "delivered", "timestamp": "1714979289", "wamid": "wamid.B1"}
CORRELATION = {"conversation_id": "c-1", "communication_id": "m-1", "whatsapp_message_id": "wamid.A1"}
CAMPAIGN = {"campaign_id": "spring", "phone_number_id": "1001", "message_text": "hello"}
CONTROL = {"campaign_id": "spring", "action": "pause", "requested_at": "2024-05-06T07:08:09Z"}
CONTENTS: dict[str, Any] = {
    "message_text": "hello",
    "media_url": "https://cdn.example.org/a.jpg",
    "media_id": "1037543291543636",
    "template": {"name": "welcome", "language": "en_US"},
    "interactive": {"type": "button"},
    "location": {"latitude": 52.5, "longitude": 13.4},
    "contacts": [{"name": {"formatted_name": "Ana"}}],
    "reaction": {"message_id": "wamid.A1", "emoji": "👍"},
}


def made(model: Any, fields: dict[str, Any], **changes: Any) -> Any:
    """`fields` with changes, decoded; a change to `...` removes the field."""
    changed = {name: value for name, value in {**fields, **changes}.items() if value is not ...}
    return decode(model, json.dumps(changed).encode())


@pytest.mark.parametrize(
    ("model", "fields", "required"),
    [
        (InboundMessage, INBOUND, ["wamid", "timestamp", "wa_id"]),
        (StatusUpdate, STATUS, ["status", "timestamp"]),
        (ConversationCorrelation, CORRELATION, list(CORRELATION)),
        (ConversationClosed, {"conversation_id": "c-1"}, ["conversation_id"]),
        (BroadcastCampaign, CAMPAIGN, ["campaign_id", "phone_number_id"]),
        (CampaignControl, CONTROL, list(CONTROL)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_required_field_is_missed_by_name(
    model: Any, fields: dict[str, Any], required: list[str]
) -> None:
    made(model, fields)
    for name in required:
        with pytest.raises(InvalidPayload, match=f"^{name}: field required$"):
            made(model, fields, **{name: ...})
        with pytest.raises(InvalidPayload, match=f"^{name}: "):
            made(model, fields, **{name: None})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (InboundMessage, INBOUND),
        (OutboundMessage, OUTBOUND),
        (StatusUpdate, STATUS),
        (ConversationCorrelation, CORRELATION),
        (BroadcastCampaign, CAMPAIGN),
        (CampaignControl, CONTROL),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_optional_fields_may_be_null_and_unknown_ones_are_kept(model: Any, fields: dict[str, Any]) -> None:
    optional = {
        name: None
        for name, field in model.model_fields.items()
        if not field.is_required() and name not in fields
    }

    payload = made(model, fields, **optional, model_name={"a": [1, None]})

    assert payload == made(model, fields, model_name={"a": [1, None]})
    assert payload.model_extra == {"model_name": {"a": [1, None]}}


def test_an_inbound_message_is_normalised() -> None:
    message = made(InboundMessage, INBOUND, contact_name="n" * 300)

    assert message.wa_id == "491700000001"
    assert message.timestamp.isoformat() == "2024-05-06T07:08:09+00:00"
    assert message.message_type == "text"
    assert message.contact_name == "n" * 255


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"conversation_id": ...}, "conversation_id, wa_id: one of them is required"),
        ({"genesys_message_id": ...}, "genesys_message_id, client_message_id: one of them is required"),
        ({"message_text": ...}, "exactly one of them is required"),
        ({"message_text": None}, "exactly one of them is required"),
        ({"message_text": ""}, "exactly one of them is required"),
        ({"genesys_message_id": "g" * 101}, "genesys_message_id: string should have at most 100"),
        ({"client_message_id": "c" * 101}, "client_message_id: string should have at most 100"),
        ({"client_message_id": "campaign:" + "c" * 262}, "client_message_id: string should have at most 270"),
        ({"category": "urgent"}, "category: input should be 'service', 'utility', 'authentication' or"),
        ({"on_ambiguous": "retry"}, "on_ambiguous: input should be 'fail' or 'resend'"),
        ({"expires_at": "soon"}, "expires_at: neither ISO 8601"),
        ({"wa_id": "call me"}, "wa_id: neither a phone number"),
        ({"message_text": ..., "media_id": "77"}, "^media_type: required beside media_id"),
        ({"message_text": ..., "media_id": "77", "media_type": ""}, "^media_type: required beside media_id"),
        ({"message_text": ..., "media_id": "7" * 101}, "^media_id: string should have at most 100"),
    ],
)
def test_an_outbound_message_that_cannot_be_sent_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvalidPayload, match=rule):
        made(OutboundMessage, OUTBOUND, **changes)


@pytest.mark.parametrize("first", CONTENT_KINDS)
def test_a_message_has_exactly_one_content(first: str) -> None:
    plain: dict[str, Any] = {"message_text": ..., "media_type": "image"}
    message = made(OutboundMessage, OUTBOUND, **(plain | {first: CONTENTS[first]}))

    assert message.content_kind == first
    for second in set(CONTENT_KINDS) - {first}:
        both = plain | {first: CONTENTS[first], second: CONTENTS[second]}
        with pytest.raises(InvalidPayload, match="exactly one of them is required"):
            made(OutboundMessage, OUTBOUND, **both)


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({"template": {"name": "t"}}, "template.language"),
        ({"template": {"language": "en"}}, "template.name"),
        ({"location": {"latitude": 91, "longitude": 0}}, "location.latitude"),
        ({"location": {"latitude": 0, "longitude": "east"}}, "location.longitude"),
        ({"reaction": {"emoji": "👍"}}, "reaction.message_id"),
        ({"interactive": {}}, "interactive"),
        ({"contacts": []}, "contacts"),
    ],
)
def test_a_content_without_its_parts_is_refused(content: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidPayload, match=f"^{field}: "):
        made(OutboundMessage, OUTBOUND, message_text=..., **content)


def test_a_template_names_its_language_in_either_form_and_an_empty_reaction_takes_it_back() -> None:
    template = {"name": "t", "language": {"code": "de", "policy": "deterministic"}}

    assert made(OutboundMessage, OUTBOUND, message_text=..., template=template).template.language == "de"
    assert (
        made(OutboundMessage, OUTBOUND, message_text=..., reaction={"message_id": "w"}).reaction.emoji == ""
    )


def test_the_id_of_a_campaign_message_may_be_as_long_as_its_parts() -> None:
    client_message_id = f"campaign:{'c' * 100}:US.{'a' * 157}"
    assert made(OutboundMessage, OUTBOUND, client_message_id=client_message_id).client_message_id


@pytest.mark.parametrize(
    "changes",
    [
        {"message_text": "hello!"},
        {"message_text": ..., "media_url": "hello"},
        {"conversation_id": "c-2"},
        {"conversation_id": ..., "wa_id": "491700000001"},
        {"wa_id": "491700000001"},
        {"phone_number_id": "1001"},
        {"context_wamid": "wamid.A1"},
        {"category": "marketing"},
        {"caption": "hello"},
    ],
    ids=str,
)
def test_a_message_with_other_content_has_another_hash(changes: dict[str, Any]) -> None:
    hashed = made(OutboundMessage, OUTBOUND).content_hash()

    assert made(OutboundMessage, OUTBOUND, **changes).content_hash() != hashed


def test_the_same_message_asked_for_again_has_the_same_hash() -> None:
    asked = made(OutboundMessage, OUTBOUND, wa_id="+491700000001")

    again = made(
        OutboundMessage,
        dict(reversed(OUTBOUND.items())),
        wa_id="491700000001",
        caption=None,
        expires_at="2099-01-01T00:00:00Z",
        on_ambiguous="fail",
        campaign_id="spring",
        client_message_id="x-1",
        metadata={"try": 2},
        traced="again",
    )

    assert asked.content_hash() == again.content_hash()


def test_hashes_are_the_same_in_every_release() -> None:
    assert made(OutboundMessage, OUTBOUND).content_hash().hex() == "954dca04913038d0c24170cdeb259885"
    assert made(BroadcastCampaign, CAMPAIGN).fields_hash().hex() == "df2af911f7b523bb0d7646a40648f74e"


def test_a_status_needs_a_reference_and_takes_any_word() -> None:
    assert made(StatusUpdate, STATUS, status="warming_up").status == "warming_up"
    for reference in ("genesys_message_id", "callback_data"):
        made(StatusUpdate, STATUS, wamid=..., **{reference: "1"})
    with pytest.raises(InvalidPayload, match="wamid, genesys_message_id, callback_data: one of them"):
        made(StatusUpdate, STATUS, wamid=...)


def test_the_errors_of_a_status_keep_what_the_platform_adds() -> None:
    errors = [{"code": "131047", "title": "Re-engagement", "error_data": {"details": "24 h"}}, {}]

    update = made(StatusUpdate, STATUS, errors=errors)

    assert update.errors[0].code == 131047
    assert update.errors[0].model_extra == {"error_data": {"details": "24 h"}}
    assert made(StatusUpdate, STATUS, errors=[{"code": "GC-7", "details": {"a": 1}}]).errors[0].code == "GC-7"
    assert made(StatusUpdate, STATUS, errors=[{"code": ["x"], "title": "t"}]).errors[0].title == "t"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"message_text": ...}, "template, message_text: exactly one"),
        ({"template": CONTENTS["template"]}, "template, message_text: exactly one"),
        ({"batch_size": 0}, "batch_size: "),
        ({"batch_size": 10_001}, "batch_size: "),
        ({"batch_size": 1.5}, "batch_size: "),
        ({"batch_delay_ms": -1}, "batch_delay_ms: "),
        ({"campaign_id": "c" * 101}, "campaign_id: "),
        ({"recipients": [{"wa_id": "491700000001"}, {"variables": {}}]}, r"recipients\.1\.wa_id: "),
        ({"scheduled_at": "1970-01-01T00:00:00Z"}, "scheduled_at: outside 2009"),
    ],
)
def test_a_campaign_that_cannot_run_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(InvalidPayload, match=f"^{rule}"):
        made(BroadcastCampaign, CAMPAIGN, **changes)


def test_a_campaign_has_its_defaults_and_a_control_its_actions() -> None:
    campaign = made(BroadcastCampaign, CAMPAIGN)

    assert (campaign.batch_size, campaign.batch_delay_ms, campaign.recipients) == (50, 1000, None)
    for action in ("pause", "resume", "cancel"):
        assert made(CampaignControl, CONTROL, action=action).action == action
    with pytest.raises(InvalidPayload, match=r"^action: input should be 'pause', 'resume' or 'cancel'"):
        made(CampaignControl, CONTROL, action="stop")


@pytest.mark.parametrize(
    "changes",
    [
        {"message_text": "hi"},
        {"phone_number_id": "1002"},
        {"name": "Spring"},
        {"batch_size": 51},
        {"batch_delay_ms": 999},
        {"scheduled_at": "2099-01-01T00:00:00Z"},
        {"category": "utility"},
        {"recipients": [{"wa_id": "491700000001"}]},
    ],
    ids=str,
)
def test_a_campaign_with_other_fields_has_another_hash(changes: dict[str, Any]) -> None:
    hashed = made(BroadcastCampaign, CAMPAIGN).fields_hash()

    assert made(BroadcastCampaign, CAMPAIGN, **changes).fields_hash() != hashed


def test_the_order_of_recipients_and_unknown_fields_do_not_change_a_campaign() -> None:
    ana, ben = {"wa_id": "491700000001", "variables": {"1": "Ana"}}, {"wa_id": "+491700000002"}

    def hashed(*recipients: dict[str, Any]) -> bytes:
        campaign = made(BroadcastCampaign, CAMPAIGN, recipients=recipients, sent_by="a gateway")
        digest: bytes = campaign.fields_hash()
        return digest

    assert hashed(ana, ben) == hashed(ben, ana) == hashed(ana, ben, {"wa_id": "491700000001"})
    assert hashed(ana, ben) != hashed(ana)
    assert hashed(ana) != hashed({**ana, "variables": {"1": "Anna"}})
