"""The bytes of what the cluster publishes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from asyncpg.pgproto import pgproto
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.messaging.messages.states import Direction, MessageStatus
from shared.payloads import (
    CampaignUpdated,
    ConversationClosedEvent,
    ConversationCorrelated,
    ConversationExpired,
    CustomerMerged,
    DLQMessage,
    EnrichedInboundMessage,
    EnrichedOutboundMessage,
    InboundMessage,
    MessageUpdated,
    OutboundMessage,
    SendError,
    decode,
    encode,
)

ID = UUID("0190b1c2-0000-7000-8000-000000000001")
WHEN = datetime(2024, 5, 6, 7, 8, 9, 250_000, tzinfo=UTC)
CONVERSATION: dict[str, Any] = {
    "mapping_id": ID,
    "wa_id": "491700000001",
    "phone_number_id": "1001",
    "timestamp": WHEN,
}

EVENTS: list[tuple[str, Any]] = [
    ("outbound.sent", EnrichedOutboundMessage(message_id=ID, timestamp=WHEN, wamid="wamid.B1")),
    ("outbound.failed", EnrichedOutboundMessage(timestamp=WHEN, error=SendError(code="expired"))),
    (
        "message.updated",
        MessageUpdated(
            message_id=ID,
            direction=Direction.OUTBOUND,
            old_status=MessageStatus.SENT,
            new_status=MessageStatus.READ,
            timestamp=WHEN,
            implied=False,
        ),
    ),
    ("conversation.correlated", ConversationCorrelated(**CONVERSATION, whatsapp_message_id="wamid.A1")),
    ("conversation.closed", ConversationClosedEvent(**CONVERSATION, conversation_id="c-1")),
    ("conversation.expired", ConversationExpired(**CONVERSATION, last_activity_at=WHEN)),
    (
        "customer.merged",
        CustomerMerged(
            customer="491700000001",
            merged="DE.8842",
            addresses=["491700000001", "DE.8842"],
            evidence="inbound",
            timestamp=WHEN,
        ),
    ),
    ("campaign.updated", CampaignUpdated(campaign_id="spring", new_status="running", timestamp=WHEN)),
    (
        "deadletter.stored",
        DLQMessage(
            id=ID,
            raw_body_base64="AA==",
            reason="invalid_payload",
            retry_count=0,
            timestamp=WHEN,
            source_queue="inbound-resolver",
            headers={},
        ),
    ),
]


def inbound(**fields: Any) -> InboundMessage:
    required = {"wamid": "wamid.A1", "timestamp": WHEN.isoformat(), "wa_id": "+491700000001"}
    return decode(InboundMessage, json.dumps({**required, **fields}).encode())


def enriched(message: InboundMessage, mapping_id: UUID = ID) -> EnrichedInboundMessage:
    return EnrichedInboundMessage.of(
        message,
        customer="491700000001",
        phone_number_id="1001",
        consent=None,
        mapping_id=mapping_id,
        conversation_id=None,
        is_new_conversation=True,
        trace_id="t-1",
    )


def test_an_enriched_message_is_the_message_with_what_it_was_resolved_to() -> None:
    message = inbound(message_text="hello", content={"text": {"body": None}}, tenant="north", nothing=None)

    assert json.loads(encode(enriched(message))) == {
        "event_version": 1,
        "wamid": "wamid.A1",
        "timestamp": "2024-05-06T07:08:09.250000Z",
        "wa_id": "491700000001",
        "phone_number_id": "1001",
        "message_text": "hello",
        "message_type": "text",
        "content": {"text": {"body": None}},
        "tenant": "north",
        "nothing": None,
        "customer": "491700000001",
        "mapping_id": str(ID),
        "conversation_id": None,
        "is_new_conversation": True,
        "trace_id": "t-1",
    }


def test_enriching_without_validation_gives_what_validation_gives() -> None:
    message = inbound(message_text="hello", tenant="north")

    event = enriched(message)

    validated = EnrichedInboundMessage(
        **dict(message) | {"phone_number_id": "1001"},
        customer="491700000001",
        mapping_id=ID,
        is_new_conversation=True,
        trace_id="t-1",
    )

    assert event == validated
    assert event.model_dump() == validated.model_dump()
    assert event.event_type == "inbound.enriched"


def test_an_unknown_field_never_takes_the_place_of_ours() -> None:
    message = inbound(conversation_id="theirs", mapping_id="theirs", event_version=9, trace_id="theirs")

    body = json.loads(encode(enriched(message)))

    assert (body["conversation_id"], body["mapping_id"]) == (None, str(ID))
    assert (body["event_version"], body["trace_id"]) == (1, "t-1")


@pytest.mark.parametrize(("name", "event"), EVENTS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_event_knows_its_name_and_version_and_leaves_nulls_out(name: str, event: Any) -> None:
    body = json.loads(encode(event))

    assert event.event_type == name
    assert body["event_version"] == 1
    assert body["timestamp"] == "2024-05-06T07:08:09.250000Z"
    nulls = {field for field, value in body.items() if value is None}

    assert nulls == {
        field
        for field in ("conversation_id", "original_payload")
        if field in type(event).model_fields and getattr(event, field) is None
    }


def test_a_nested_error_leaves_its_nulls_out_too() -> None:
    event = EnrichedOutboundMessage(timestamp=WHEN, error=SendError(code="131047", message="window closed"))

    assert json.loads(encode(event))["error"] == {"code": "131047", "message": "window closed"}


def test_a_time_in_another_zone_goes_out_in_utc_and_one_without_a_zone_is_refused() -> None:
    berlin = WHEN.astimezone(timezone(timedelta(hours=2)))

    assert b'"2024-05-06T07:08:09.250000Z"' in encode(EnrichedOutboundMessage(timestamp=berlin))
    with pytest.raises(ValidationError, match="without a zone"):
        EnrichedOutboundMessage(timestamp=WHEN.replace(tzinfo=None))


def test_ids_may_come_straight_from_the_database() -> None:
    assert json.loads(encode(enriched(inbound(), pgproto.UUID(str(ID)))))["mapping_id"] == str(ID)


def test_integers_of_any_size_are_carried_through() -> None:
    message = inbound(large=10**30, content={"larger": -(10**300)})
    event = EnrichedOutboundMessage.model_validate(
        {"timestamp": WHEN, "error": SendError(code="1"), "large": 10**30}
    )

    body = json.loads(encode(enriched(message, pgproto.UUID(str(ID)))))

    assert (body["large"], body["content"]["larger"]) == (10**30, -(10**300))
    assert (body["mapping_id"], body["conversation_id"]) == (str(ID), None)
    assert body["timestamp"] == "2024-05-06T07:08:09.250000Z"
    assert json.loads(encode(event))["error"] == {"code": "1"}


def test_what_has_no_json_form_is_refused() -> None:
    with pytest.raises(ValueError, match="no JSON form"):
        encode(EnrichedOutboundMessage.model_validate({"timestamp": WHEN, "unknown": object()}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["a", "tenant", "metadata", "Ω"]), json_values))
def test_a_payload_encoded_and_decoded_is_itself(unknown: dict[str, Any]) -> None:
    metadata = {"metadata": unknown.pop("metadata", None)} if "metadata" in unknown else {}
    fields = {"wa_id": "491700000001", "client_message_id": "1", "message_text": "hello"}
    message = decode(
        OutboundMessage, json.dumps({**unknown, **fields, "metadata": {"kept": metadata}}).encode()
    )

    assert decode(OutboundMessage, encode(message)) == message
    assert {name: getattr(message, name) for name in unknown} == unknown
