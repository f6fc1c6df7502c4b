"""Bodies of every bad kind: each an InvalidPayload whose one line names the field and the rule."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.durations import DURATIONS
from shared.payloads import (
    BODY_LIMIT_BYTES,
    BroadcastCampaign,
    ConversationCorrelation,
    InboundMessage,
    InvalidPayload,
    OutboundMessage,
    StatusUpdate,
    decode,
    read,
)
from shared.payloads.schemas import PAYLOADS_IN

INBOUND = {"wamid": "wamid.A1", "timestamp": "1714979289", "wa_id": "491700000001"}
#: The fewest fields with which each payload is valid.
LEAST: dict[Any, dict[str, Any]] = {
    InboundMessage: INBOUND,
    OutboundMessage: {"wa_id": "491700000001", "client_message_id": "c-1", "message_text": "hello"},
    StatusUpdate: {"status": "failed", "timestamp": "1714979289", "wamid": "wamid.A1"},
    ConversationCorrelation: {
        "conversation_id": "c",
        "communication_id": "d",
        "whatsapp_message_id": "wamid.A1",
    },
    BroadcastCampaign: {"campaign_id": "c", "phone_number_id": "1", "message_text": "hello"},
}
SECRET = "do not log me"


def body(**changes: Any) -> bytes:
    return json.dumps({**INBOUND, **changes}).encode()


def raw(field: str, value: str) -> bytes:
    """An inbound message with one more field whose value is not what `json` would write."""
    return json.dumps(INBOUND).encode()[:-1] + f', "{field}": {value}}}'.encode()


def error_of(content: bytes, model: Any = InboundMessage) -> str:
    with pytest.raises(InvalidPayload) as caught:
        decode(model, content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "body: not valid JSON"),
        (b"hello", "body: not valid JSON"),
        (b"{", "body: not valid JSON"),
        (b"{} {}", "body: not valid JSON"),
        (b"\xef\xbb\xbf{}", "body: not valid JSON"),
        (b"\x80\x04\x95", "body: not UTF-8 at byte 0"),
        (raw("message_text", '"caf\xe9"').decode().encode("latin-1"), "body: not UTF-8 at byte"),
        (b"null", "body: not a JSON object"),
        (b"[]", "body: not a JSON object"),
        (b'"text"', "body: not a JSON object"),
        (b"17", "body: not a JSON object"),
        (b"{}", "wamid: field required; timestamp: field required; wa_id: field required"),
        (body(wamid=None), "wamid: input should be a valid string"),
        (body(wamid=7), "wamid: input should be a valid string"),
        (body(wamid=""), "wamid: string should have at least 1 character"),
        (body(wamid="w" * 256), "wamid: string should have at most 255 characters"),
        (body(phone_number_id="1" * 101), "phone_number_id: string should have at most 100 characters"),
        (body(wa_id=491700000001), "wa_id: input should be a valid string"),
        (body(wa_id="+49 170"), "wa_id: neither a phone number"),
        (body(wa_id="01700000001"), "wa_id: a number that begins with 0 is not international"),
        (body(user_id="D" * 161), "user_id: string should have at most 160 characters"),
        (body(timestamp="yesterday"), "timestamp: neither ISO 8601 text nor epoch"),
        (body(timestamp=True), "timestamp: neither ISO 8601 text nor epoch"),
        (body(timestamp=86400), "timestamp: outside 2009 to now + 1 day"),
        (body(message_text=["a"]), "message_text: input should be a valid string"),
        (body(content="text"), "content: input should be an object"),
        (raw("wamid", r'"w\u0000"'), "wamid: contains a NUL character"),
        (raw("wamid", r'"w\ud800"'), "wamid: contains half of a surrogate pair"),
        (raw("media_url", r'"https://x.example/\u0000"'), "media_url: contains a NUL character"),
        (raw("media_id", r'"7\u0000"'), "media_id: contains a NUL character"),
        (raw("message_text", '"a\0b"'), "body: not valid JSON"),
        (raw("timestamp", "1e400"), "timestamp: outside 2009"),
        (raw("timestamp", "9" * 4000), "timestamp: outside 2009"),
        (raw("timestamp", "NaN"), "timestamp: outside 2009"),
        (raw("unknown", "1e400"), "unknown: a number that is not finite"),
        (raw("unknown", "-1e400"), "unknown: a number that is not finite"),
        (raw("unknown", "NaN"), "unknown: a number that is not finite"),
        (raw("content", '{"a": [Infinity]}'), "content.a.0: a number that is not finite"),
        (raw("content", '{"a": ' + "9" * 4000 + "}"), "content.a: a number that is not finite or beyond"),
        (raw("unknown", "9" * 100_000), "body: not valid JSON: number out of range"),
        (raw("content", "[" * 300 + "]" * 300), "body: not valid JSON: recursion limit exceeded"),
        (raw("unknown", '{"a":' * 300 + "1" + "}" * 300), "body: not valid JSON: recursion limit exceeded"),
        (b"[" * 500_000, "body: not valid JSON: recursion limit exceeded"),
        (b'{"a":' * 200_000, "body: not valid JSON: recursion limit exceeded"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "body",
)
def test_a_bad_body_is_refused_with_the_field_and_the_rule(content: bytes, error: str) -> None:
    assert error in error_of(content)


def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    text = "a" * (BODY_LIMIT_BYTES - len(body(message_text="")))

    assert decode(InboundMessage, body(message_text=text)).message_text == text
    assert error_of(body(message_text=text + "a")) == "body: larger than 1048576 bytes"
    assert DURATIONS.body_bytes == BODY_LIMIT_BYTES


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (InboundMessage, body(wa_id=SECRET, wamid=SECRET * 50, timestamp=SECRET, content=SECRET)),
        (OutboundMessage, json.dumps({"message_text": {"a": SECRET}, "category": SECRET}).encode()),
        (StatusUpdate, json.dumps({"status": "failed", "wamid": [SECRET], "timestamp": SECRET}).encode()),
        (BroadcastCampaign, json.dumps({"campaign_id": "c", "template": {"name": [SECRET]}}).encode()),
        (InboundMessage, f"{SECRET}".encode()),
        (InboundMessage, f'{{"message_text": "{SECRET}\\u0000", "a": {SECRET}'.encode()),
    ],
)
def test_an_error_never_repeats_a_value(model: Any, content: bytes) -> None:
    assert SECRET not in error_of(content, model)


def test_an_error_is_one_printable_line_whatever_the_names_of_the_fields() -> None:
    name = "x\r\n\x1b[31m\u2028" + "n" * 500

    error = error_of(json.dumps({**INBOUND, "content": {name: {name: {name: 10**400}}}}).encode())

    assert error.isprintable()
    assert len(error) <= 300
    assert error.startswith("content.x??")


def test_a_long_error_is_cut() -> None:
    assert len(str(InvalidPayload("a" * 1000))) == 300


def test_only_the_first_bad_element_of_a_long_list_is_named() -> None:
    campaign = {"campaign_id": "c", "phone_number_id": "1", "message_text": "t"}
    content = json.dumps({**campaign, "recipients": [{"wa_id": "?"}] * 20_000}).encode()

    assert error_of(content, BroadcastCampaign).startswith("recipients.0.wa_id: neither a phone number")


def test_of_a_key_given_twice_the_last_counts() -> None:
    assert decode(InboundMessage, raw("wamid", '"wamid.B2"')).wamid == "wamid.B2"


@pytest.mark.parametrize(
    ("escaped", "stored", "replaced"),
    [
        (r"a\u0000b", "a\ufffdb", 1),
        (r"\ud83d", "\ufffd", 1),
        (r"\uDC00 text", "\ufffd text", 1),
        (r"\ud83d\ud83d\ude00\ude00", "\ufffd😀\ufffd", 2),
        (r"\ud83d\\ude00", "\ufffd\\ude00", 1),
        (r"\\\u0000", "\\\ufffd", 1),
        (r"\ud83d\ude00 \u00e9 \n", "😀 é \n", 0),
        (r"\\u0000 \\ud800", r"\u0000 \ud800", 0),
    ],
)
def test_what_no_text_can_hold_is_replaced_in_what_a_person_wrote(
    escaped: str, stored: str, replaced: int
) -> None:
    for field in ("message_text", "contact_name"):
        decoded = read(InboundMessage, raw(field, f'"{escaped}"'))
        assert getattr(decoded.payload, field) == stored
        assert decoded.replaced == replaced

    inner = read(
        InboundMessage, raw("content", f'{{"a": [{{"{escaped}": "{escaped}"}}], "id": "{escaped}"}}')
    )

    assert inner.payload.content == {"a": [{stored: stored}], "id": stored}


@pytest.mark.parametrize(
    ("model", "given", "field", "kept"),
    [
        (StatusUpdate, {"recipient_id": 491700000001}, "recipient_id", None),
        (StatusUpdate, {"pricing": "free"}, "pricing", None),
        (StatusUpdate, {"conversation": ["c"]}, "conversation", None),
        (StatusUpdate, {"errors": "131026"}, "errors", None),
        (InboundMessage, {"display_phone_number": 15550001111}, "display_phone_number", None),
        (InboundMessage, {"display_phone_number": "1" * 101}, "display_phone_number", None),
        (InboundMessage, {"contact_name": {"first": "Ana"}}, "contact_name", None),
        (OutboundMessage, {"metadata": "m"}, "metadata", None),
        (BroadcastCampaign, {"name": 7}, "name", None),
    ],
)
def test_a_side_field_of_the_wrong_shape_is_dropped_and_its_message_goes_on(
    model: Any, given: dict[str, Any], field: str, kept: object
) -> None:
    decoded = read(model, json.dumps(LEAST[model] | given).encode())

    assert getattr(decoded.payload, field) is kept
    assert decoded.dropped == (field,)


def test_an_error_of_a_status_keeps_what_can_be_read_of_it() -> None:
    decoded = read(StatusUpdate, json.dumps(LEAST[StatusUpdate] | {"errors": {"code": 131026}}).encode())
    assert [error.code for error in decoded.payload.errors or ()] == [131026]

    errors = [{"code": 131026, "title": 7, "details": ["a"]}]
    decoded = read(StatusUpdate, json.dumps(LEAST[StatusUpdate] | {"errors": errors}).encode())

    assert [(error.code, error.title) for error in decoded.payload.errors or ()] == [(131026, None)]
    assert decoded.dropped == ("title", "details")


@pytest.mark.parametrize("model", list(LEAST))
def test_an_empty_text_in_an_optional_field_is_as_if_it_were_left_out(model: Any) -> None:
    optional = {name: "" for name, field in model.model_fields.items() if not field.is_required()}
    left_out = decode(model, json.dumps(LEAST[model]).encode())

    assert decode(model, json.dumps(optional | LEAST[model]).encode()) == left_out
    assert not read(model, json.dumps(optional | LEAST[model]).encode()).dropped


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://x.example/a b.pdf?name=c d", "https://x.example/a%20b.pdf?name=c%20d"),
        ("https://x.example?a b", "https://x.example?a%20b"),
        ("https://x.example/9.00\u202fAM.png", "https://x.example/9.00%E2%80%AFAM.png"),
        (" https://x.example/a%20b ", "https://x.example/a%20b"),
        ("https://x .example/a b", "https://x .example/a%20b"),
        ("https://x.example/a\nb", "https://x.example/a\nb"),
    ],
)
def test_a_blank_in_the_path_or_query_of_a_media_url_is_written_as_urls_write_it(
    url: str, written: str
) -> None:
    assert decode(InboundMessage, body(media_url=url)).media_url == written
    outbound = json.dumps({"wa_id": "491700000001", "client_message_id": "c", "media_url": url}).encode()

    assert decode(OutboundMessage, outbound).media_url == written


def test_text_that_merely_looks_like_an_escaped_nul_is_text() -> None:
    message = decode(InboundMessage, raw("message_text", r'"a\\u0000 NaN Infinity 1e400"'))
    assert message.message_text == r"a\u0000 NaN Infinity 1e400"


@settings(max_examples=50)
@given(st.binary(max_size=200))
@pytest.mark.parametrize("model", PAYLOADS_IN)
def test_no_bytes_raise_anything_but_invalid_payload(model: Any, content: bytes) -> None:
    decodes_or_refuses(model, content)


def decodes_or_refuses(model: Any, content: bytes) -> None:
    """Generated bytes may be right: hypothesis tries the constants of our own code, too."""
    try:
        assert isinstance(decode(model, content), model)
    except InvalidPayload as error:
        assert str(error)  # noqa: PT017 - decoding may succeed as well
        assert str(error).isprintable()  # noqa: PT017


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.data())
@pytest.mark.parametrize("model", PAYLOADS_IN)
def test_no_value_in_any_field_raises_anything_but_invalid_payload(model: Any, data: st.DataObject) -> None:
    fields = st.sampled_from([*model.model_fields, "unknown"])
    decodes_or_refuses(model, json.dumps(data.draw(st.dictionaries(fields, json_values))).encode())
