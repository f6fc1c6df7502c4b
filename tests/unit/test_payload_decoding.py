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
    InboundMessage,
    InvalidPayload,
    OutboundMessage,
    StatusUpdate,
    decode,
)
from shared.payloads.schemas import PAYLOADS_IN

INBOUND = {"wamid": "wamid.A1", "timestamp": "1714979289", "wa_id": "491700000001"}
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
        (body(user_id="D" * 161), "user_id: string should have at most 160 characters"),
        (body(timestamp="yesterday"), "timestamp: neither ISO 8601 text nor epoch"),
        (body(timestamp=True), "timestamp: neither ISO 8601 text nor epoch"),
        (body(timestamp=86400), "timestamp: outside 2009 to now + 1 day"),
        (body(message_text=["a"]), "message_text: input should be a valid string"),
        (body(content="text"), "content: input should be an object"),
        (raw("message_text", r'"a\u0000b"'), "message_text: contains a NUL character"),
        (raw("wamid", r'"w\u0000"'), "wamid: contains a NUL character"),
        (raw("content", r'{"text": [{"a": "\u0000"}]}'), "content.text.0.a: contains a NUL character"),
        (raw("content", r'{"text\u0000": 1}'), "content.text?: contains a NUL character"),
        (raw("message_text", r'"\ud800"'), "body: not valid JSON"),
        (raw("message_text", r'"\udc00 text"'), "body: not valid JSON"),
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
    fits = body(message_text="")
    text = "a" * (BODY_LIMIT_BYTES - len(fits))

    assert decode(InboundMessage, body(message_text=text)).message_text == text
    assert error_of(body(message_text=text + "a")) == "body: larger than 1048576 bytes"
    assert DURATIONS.body_bytes == BODY_LIMIT_BYTES


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (InboundMessage, body(wa_id=SECRET, wamid=SECRET * 50, timestamp=SECRET, content=SECRET)),
        (OutboundMessage, json.dumps({"message_text": {"a": SECRET}, "category": SECRET}).encode()),
        (StatusUpdate, json.dumps({"status": "failed", "errors": SECRET, "timestamp": SECRET}).encode()),
        (BroadcastCampaign, json.dumps({"campaign_id": "c", "template": {"name": [SECRET]}}).encode()),
        (InboundMessage, f"{SECRET}".encode()),
        (InboundMessage, f'{{"message_text": "{SECRET}\\u0000", "a": {SECRET}'.encode()),
    ],
)
def test_an_error_never_repeats_a_value(model: Any, content: bytes) -> None:
    assert SECRET not in error_of(content, model)


def test_an_error_is_one_printable_line_whatever_the_names_of_the_fields() -> None:
    name = "x\r\n\x1b[31m\u2028" + "n" * 500

    error = error_of(json.dumps({**INBOUND, "content": {name: {name: {name: "\0"}}}}).encode())

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
