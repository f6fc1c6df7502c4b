"""The sandbox takes what the Cloud API takes and refuses the rest with its codes."""

from typing import Any

import orjson
import pytest

from deploy.sandbox.graph_errors import RequestRefused
from deploy.sandbox.send_request import ReadReceipt, SendRequest, parse_body

PHONE = "491700000001"


def make_body(**changes: Any) -> dict[str, Any]:
    """A good text message with `changes` over it; None leaves a parameter out."""
    body = {"messaging_product": "whatsapp", "to": PHONE, "type": "text", "text": {"body": "hello"}} | changes
    return {key: value for key, value in body.items() if value is not None}


def make_content(kind: str, content: Any) -> dict[str, Any]:
    return make_body(type=kind, text=None, **{kind: content})


def parse(body: Any) -> SendRequest | ReadReceipt:
    return parse_body("application/json", orjson.dumps(body))


def refusal_of(body: Any) -> tuple[int, str]:
    with pytest.raises(RequestRefused) as refused:
        parse(body)
    return refused.value.error.code, refused.value.error.details


def make_buttons(count: int, *, title: str = "Yes", repeat: bool = False) -> dict[str, Any]:
    replies = [{"id": "same" if repeat else f"id{n}", "title": f"{n}{title}"} for n in range(count)]
    buttons = [{"type": "reply", "reply": reply} for reply in replies]
    return {"type": "button", "body": {"text": "Well?"}, "action": {"buttons": buttons}}


def make_list(rows_by_section: list[int], **row: Any) -> dict[str, Any]:
    sections = []
    for number, rows in enumerate(rows_by_section):
        made = [{"id": f"{number}.{n}", "title": f"row {n}"} | row for n in range(rows)]
        sections.append({"title": f"section {number}", "rows": made})
    return {"type": "list", "body": {"text": "Which?"}, "action": {"button": "Choose", "sections": sections}}


def make_template(**changes: Any) -> dict[str, Any]:
    template = {"name": "order_shipped", "language": {"code": "en_US"}} | changes
    return {key: value for key, value in template.items() if value is not None}


def make_parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    return make_template(components=[{"type": "body", "parameters": [parameter]}])


GOOD: dict[str, dict[str, Any]] = {
    "text": make_body(),
    "text of 4,096 characters": make_body(text={"body": "x" * 4096, "preview_url": True}),
    "text without a type": make_body(type=None),
    "phone as people write it": make_body(to="+49 (170) 000-0001"),
    "answer to a message": make_body(context={"message_id": "wamid.A1"}),
    "individual recipient": make_body(recipient_type="individual"),
    "callback data of 512": make_body(biz_opaque_callback_data="x" * 512),
    "unknown top-level parameter": make_body(made_up=1),
    "image by link": make_content("image", {"link": "https://cdn.example.com/a.png", "caption": "x" * 1024}),
    "image by id": make_content("image", {"id": "77"}),
    "audio by link": make_content("audio", {"link": "http://cdn.example.com/a.ogg"}),
    "document": make_content("document", {"id": "77", "filename": "bill.pdf", "caption": "Your bill"}),
    "sticker": make_content("sticker", {"id": "77"}),
    "location": make_content("location", {"latitude": 52.5, "longitude": "13.4", "name": "Office"}),
    "contacts": make_content("contacts", [{"name": {"formatted_name": "Ana K", "first_name": "Ana"}}]),
    "reaction": make_content("reaction", {"message_id": "wamid.A1", "emoji": "👍"}),
    "reaction taken back": make_content("reaction", {"message_id": "wamid.A1", "emoji": ""}),
    "three buttons": make_content("interactive", make_buttons(3)),
    "list of ten rows": make_content("interactive", make_list([5, 5])),
    "link button": make_content(
        "interactive",
        {
            "type": "cta_url",
            "body": {"text": "Track it"},
            "action": {
                "name": "cta_url",
                "parameters": {"display_text": "Track", "url": "https://example.com"},
            },
        },
    ),
    "template": make_content("template", make_template()),
    "template with parameters": make_content("template", make_parameter({"type": "text", "text": "Ana"})),
    "template with a button": make_content(
        "template",
        make_template(components=[{"type": "button", "sub_type": "url", "index": "0", "parameters": []}]),
    ),
}

BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no product": (make_body(messaging_product=None), 100, "messaging_product is required"),
    "other product": (make_body(messaging_product="sms"), 100, "messaging_product must be one of"),
    "no recipient": (make_body(to=None), 100, "to is required"),
    "recipient not a phone": (make_body(to="ana"), 131009, "phone number"),
    "recipient too short": (make_body(to="123"), 131009, "phone number"),
    "user id in `to`": (make_body(to="DE.8842"), 131009, "phone number"),
    "phone in `recipient`": (make_body(to=None, recipient=PHONE), 131009, "business-scoped"),
    "recipient a number": (make_body(to=491700000001), 100, "to must be a string"),
    "unknown type": (make_body(type="poll"), 100, "type must be one of"),
    "type without its object": (make_body(type="image"), 100, "image is required"),
    "object that is a text": (make_body(text="hello"), 100, "text must be a JSON object"),
    "unknown recipient type": (make_body(recipient_type="list"), 100, "recipient_type"),
    "callback data of 513": (make_body(biz_opaque_callback_data="x" * 513), 131009, "Max length: 512"),
    "context without an id": (make_body(context={}), 131008, "context.message_id is required"),
    "text without a body": (make_body(text={}), 131008, "text.body is required"),
    "text empty": (make_body(text={"body": ""}), 131009, "text.body length"),
    "text of 4,097": (make_body(text={"body": "x" * 4097}), 100, "at most 4096 characters"),
    "text misspelled": (make_body(text={"body": "x", "preview": True}), 100, 'Unexpected key "preview"'),
    "preview not a flag": (make_body(text={"body": "x", "preview_url": "yes"}), 100, "must be a boolean"),
    "image with neither": (make_content("image", {}), 100, "exactly one of id and link"),
    "image with both": (make_content("image", {"id": "7", "link": "https://e.com/a"}), 100, "exactly one"),
    "image by a name": (
        make_content("image", {"id": "logo"}),
        100,
        "image['id'] is not a valid whatsapp business account media attachment ID",
    ),
    "image by ftp": (make_content("image", {"link": "ftp://e.com/a"}), 100, "not a valid URI"),
    "image without host": (make_content("image", {"link": "https:///a"}), 100, "not a valid URI"),
    "caption of 1,025": (make_content("image", {"id": "7", "caption": "x" * 1025}), 131009, "caption length"),
    "audio with a caption": (make_content("audio", {"id": "7", "caption": "x"}), 100, 'key "caption"'),
    "latitude 91": (make_content("location", {"latitude": 91, "longitude": 0}), 131009, "latitude"),
    "longitude not a number": (
        make_content("location", {"latitude": 1, "longitude": "x"}),
        131009,
        "longitude",
    ),
    "latitude true": (make_content("location", {"latitude": True, "longitude": 0}), 131009, "latitude"),
    "no longitude": (make_content("location", {"latitude": 1}), 131008, "longitude is required"),
    "contacts empty": (make_content("contacts", []), 131009, "contacts count"),
    "contacts an object": (make_content("contacts", {"name": {}}), 100, "array of JSON objects"),
    "contact without a name": (make_content("contacts", [{"phones": []}]), 131008, "contacts[0].name"),
    "contact with one name": (
        make_content("contacts", [{"name": {"formatted_name": "Ana"}}]),
        131008,
        "first_name",
    ),
    "reaction without emoji": (make_content("reaction", {"message_id": "wamid.A"}), 131008, "emoji"),
    "reaction to nothing": (make_content("reaction", {"emoji": "👍"}), 131008, "message_id"),
    "template without a name": (make_content("template", make_template(name=None)), 131008, "template.name"),
    "template without language": (
        make_content("template", make_template(language=None)),
        131008,
        "template.language is required",
    ),
    "language without a code": (
        make_content("template", make_template(language={})),
        131008,
        "language.code is required",
    ),
    "language with a policy": (
        make_content("template", make_template(language={"code": "en", "policy": "fallback"})),
        100,
        "policy",
    ),
    "component of no kind": (
        make_content("template", make_template(components=[{"type": "tail"}])),
        100,
        "component type",
    ),
    "button without an index": (
        make_content("template", make_template(components=[{"type": "button", "sub_type": "url"}])),
        131008,
        "index is required",
    ),
    "parameter without text": (
        make_content("template", make_parameter({"type": "text"})),
        100,
        "'text' is mandatory",
    ),
    "parameter empty": (
        make_content("template", make_parameter({"type": "text", "text": ""})),
        131009,
        "text",
    ),
    "four buttons": (make_content("interactive", make_buttons(4)), 131009, "buttons count"),
    "no buttons": (make_content("interactive", make_buttons(0)), 131009, "buttons count"),
    "button title of 21": (
        make_content("interactive", make_buttons(1, title="x" * 20)),
        131009,
        "Max length: 20",
    ),
    "button ids repeated": (
        make_content("interactive", make_buttons(2, repeat=True)),
        131009,
        "Duplicated button ids",
    ),
    "eleven rows": (make_content("interactive", make_list([6, 5])), 131009, "row count"),
    "row title of 25": (
        make_content("interactive", make_list([1], title="x" * 25)),
        131009,
        "Max length: 24",
    ),
    "row description of 73": (
        make_content("interactive", make_list([1], description="x" * 73)),
        131009,
        "Max length: 72",
    ),
    "row ids repeated": (
        make_content("interactive", make_list([2], id="same")),
        131009,
        "Duplicated row ids",
    ),
    "section without rows": (make_content("interactive", make_list([0])), 131009, "rows count"),
    "interactive body of 1,025": (
        make_content("interactive", make_buttons(1) | {"body": {"text": "x" * 1025}}),
        131009,
        "Max length: 1024",
    ),
    "interactive without a body": (
        make_content("interactive", make_buttons(1) | {"body": None}),
        131008,
        "interactive.body is required",
    ),
    "footer of 61": (
        make_content("interactive", make_buttons(1) | {"footer": {"text": "x" * 61}}),
        131009,
        "Max length: 60",
    ),
    "list with an image header": (
        make_content("interactive", make_list([1]) | {"header": {"type": "image", "image": {"id": "1"}}}),
        100,
        "header.type",
    ),
    "interactive of no kind": (make_content("interactive", {"type": "poll"}), 100, "interactive.type"),
    "other status": (make_body(status="delivered"), 100, "status must be one of"),
}


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD.keys())
def test_a_message_within_the_limits_is_taken(body: dict[str, Any]) -> None:
    parsed = parse(body)

    assert isinstance(parsed, SendRequest)
    assert (parsed.recipient, parsed.type) == (PHONE, body.get("type", "text"))


@pytest.mark.parametrize(("body", "code", "detail"), BAD.values(), ids=BAD.keys())
def test_a_message_outside_the_limits_is_refused_with_its_code(
    body: dict[str, Any], code: int, detail: str
) -> None:
    refused_code, details = refusal_of(body)

    assert refused_code == code
    assert detail in details


@pytest.mark.parametrize("user_id", ["DE.8842", "US.ENT.77ab"])
def test_a_business_scoped_id_is_a_recipient(user_id: str) -> None:
    parsed = parse(make_body(to=None, recipient=user_id))

    assert isinstance(parsed, SendRequest)
    assert (parsed.recipient, parsed.addressed_as) == (user_id, user_id)


def test_the_phone_wins_where_a_business_scoped_id_is_given_too() -> None:
    parsed = parse(make_body(recipient="DE.8842"))

    assert isinstance(parsed, SendRequest)
    assert parsed.recipient == PHONE


def test_callback_data_is_kept_as_sent() -> None:
    parsed = parse(make_body(biz_opaque_callback_data="7f:1"))

    assert isinstance(parsed, SendRequest)
    assert parsed.callback_data == "7f:1"


def test_marking_as_read_is_not_a_message() -> None:
    receipt = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A1"}

    assert parse(receipt) == ReadReceipt("wamid.A1")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b'{"to": NaN}', b"\xff{}"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_body("application/json", body)

    assert refused.value.error.code == 100


def test_another_content_type_is_refused() -> None:
    with pytest.raises(RequestRefused) as refused:
        parse_body("text/plain", orjson.dumps(make_body()))

    assert "application/json" in refused.value.error.details


def test_a_refusal_has_the_shape_of_the_graph_api() -> None:
    with pytest.raises(RequestRefused) as refused:
        parse(make_body(to=None))

    error = orjson.loads(refused.value.error.encode())["error"]
    trace_id = error.pop("fbtrace_id")

    assert len(trace_id) > 10
    assert error == {
        "message": "(#100) Invalid parameter",
        "type": "OAuthException",
        "code": 100,
        "error_data": {"messaging_product": "whatsapp", "details": "The parameter to is required."},
    }
