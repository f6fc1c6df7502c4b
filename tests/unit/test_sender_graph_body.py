"""The body of the send call, message by message."""

from typing import Any

import orjson
import pytest

from shared.payloads import OutboundMessage
from workers.outbound_sender.calling.graph_body import build_body, encode_body

TO = "491700000001"


def message(**content: Any) -> OutboundMessage:
    return OutboundMessage.model_validate({"client_message_id": "c1", "wa_id": TO} | content)


def media(url: str = "https://media.example/a", **more: Any) -> OutboundMessage:
    return message(media_url=url, **more)


BUTTONS = {"type": "button", "body": {"text": "Ok?"}, "action": {"buttons": []}}


@pytest.mark.parametrize(
    ("said", "kind", "content"),
    [
        (message(message_text="hello"), "text", {"body": "hello"}),
        (
            message(template={"name": "welcome", "language": "de"}),
            "template",
            {"name": "welcome", "language": {"code": "de", "policy": "deterministic"}},
        ),
        (
            message(
                template={"name": "w", "language": "de", "components": [{"type": "body", "parameters": []}]}
            ),
            "template",
            {
                "name": "w",
                "language": {"code": "de", "policy": "deterministic"},
                "components": [{"type": "body", "parameters": []}],
            },
        ),
        (message(interactive=BUTTONS), "interactive", BUTTONS),
        (
            message(location={"latitude": 52.5, "longitude": 13.4, "name": "Office", "note": "unknown"}),
            "location",
            {"latitude": 52.5, "longitude": 13.4, "name": "Office"},
        ),
        (
            message(contacts=[{"name": {"formatted_name": "Ana", "first_name": "Ana"}}]),
            "contacts",
            [{"name": {"formatted_name": "Ana", "first_name": "Ana"}}],
        ),
        (
            message(reaction={"message_id": "wamid.A", "emoji": "👍"}),
            "reaction",
            {"message_id": "wamid.A", "emoji": "👍"},
        ),
        (
            message(reaction={"message_id": "wamid.A"}),
            "reaction",
            {"message_id": "wamid.A", "emoji": ""},
        ),
    ],
)
def test_every_kind_of_content_has_its_form(said: OutboundMessage, kind: str, content: Any) -> None:
    body = build_body(said, TO, "id:1")

    assert body == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": TO,
        "type": kind,
        kind: content,
        "biz_opaque_callback_data": "id:1",
    }


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (media(media_type="image"), "image"),
        (media(media_type="Image"), "image"),
        (media(media_type="image/jpeg"), "image"),
        (media(media_type="image/webp"), "sticker"),
        (media(media_type="image/gif"), "document"),
        (media(media_type="video/mp4"), "video"),
        (media(media_type="video/quicktime"), "document"),
        (media(media_type="audio/ogg; codecs=opus"), "audio"),
        (media(media_type="File"), "document"),
        (media(media_type="application/pdf"), "document"),
        (media("https://media.example/a.PNG?sig=x.mp3"), "image"),
        (media("https://media.example/a.mp4"), "video"),
        (media("https://media.example/a.mp3"), "audio"),
        (media("https://media.example/a.pdf"), "document"),
        (media("https://media.example/a"), "document"),
        (media("https://media.example/a.pdf", filename="photo.jpg"), "image"),
        (media("https://media.example/a.jpg", media_type="document"), "document"),
    ],
)
def test_the_kind_of_a_medium_follows_its_type_then_its_name(said: OutboundMessage, kind: str) -> None:
    assert build_body(said, TO, "id:1")["type"] == kind


@pytest.mark.parametrize(
    ("said", "kind", "content"),
    [
        (media(media_type="image", caption="look"), "image", {"caption": "look"}),
        (media(media_type="video", caption="look"), "video", {"caption": "look"}),
        (
            media(media_type="document", caption="read", filename="a.pdf"),
            "document",
            {"caption": "read", "filename": "a.pdf"},
        ),
        (media(media_type="image", filename="a.jpg"), "image", {}),
        (media(media_type="audio"), "audio", {}),
        (media(media_type="audio", caption=""), "audio", {}),
    ],
)
def test_captions_and_names_go_where_they_are_shown(
    said: OutboundMessage, kind: str, content: dict[str, str]
) -> None:
    assert build_body(said, TO, "id:1")[kind] == {"link": "https://media.example/a"} | content


@pytest.mark.parametrize(
    ("named", "kind", "content"),
    [
        ({"media_type": "image/png", "caption": "look"}, "image", {"id": "77", "caption": "look"}),
        ({"media_type": "video"}, "video", {"id": "77"}),
        ({"media_type": "audio/ogg; codecs=opus"}, "audio", {"id": "77"}),
        ({"media_type": "sticker"}, "sticker", {"id": "77"}),
        (
            {"media_type": "application/pdf", "filename": "a.pdf"},
            "document",
            {"id": "77", "filename": "a.pdf"},
        ),
        ({"media_type": "application/pdf"}, "document", {"id": "77"}),
    ],
)
def test_a_file_that_was_uploaded_goes_by_its_id(
    named: dict[str, str], kind: str, content: dict[str, str]
) -> None:
    body = build_body(message(media_id="77", **named), TO, "id:1")

    assert (body["type"], body[kind]) == (kind, content)


@pytest.mark.parametrize("media_type", ["audio", "sticker"])
def test_a_caption_is_never_lost_to_a_kind_that_has_none(media_type: str) -> None:
    body = build_body(media(media_type=media_type, caption="listen"), TO, "id:1")
    assert body["type"] == "document"
    assert body["document"]["caption"] == "listen"


def test_a_business_scoped_id_is_addressed_as_recipient() -> None:
    body = build_body(message(message_text="hello"), "DE.8842", "id:1")
    assert body["recipient"] == "DE.8842"
    assert "to" not in body


def test_a_quoted_message_is_the_context_but_of_a_reaction() -> None:
    quoting = message(message_text="hello", context_wamid="wamid.A")
    reacting = message(reaction={"message_id": "wamid.A", "emoji": "x"}, context_wamid="wamid.B")

    assert build_body(quoting, TO, "id:1")["context"] == {"message_id": "wamid.A"}
    assert "context" not in build_body(reacting, TO, "id:1")


def test_numbers_of_any_size_can_be_encoded() -> None:
    said = message(interactive={"type": "flow", "action": {"n": 10**30}})
    assert str(10**30).encode() in encode_body(said, TO, "id:1")
    assert orjson.loads(encode_body(message(message_text="x"), TO, "id:1"))["to"] == TO


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://media.example/files/Rechnung%20M%C3%A4rz.pdf?sig=1", "Rechnung März.pdf"),
        ("https://media.example/%0A.pdf", None),
        ("https://media.example/", None),
        ("https://media.example", None),
    ],
)
def test_a_document_without_a_name_has_that_of_its_url(url: str, name: str | None) -> None:
    named = {} if name is None else {"filename": name}
    parameter = {"type": "document", "document": {"link": url}}
    template = {
        "name": "w",
        "language": "de",
        "components": [{"type": "header", "parameters": [parameter]}],
    }

    plain = build_body(media(url, media_type="document"), "491700000001", "id:1")
    header = build_body(message(template=template), "491700000001", "id:1")["template"]["components"][0]

    assert plain["document"] == {"link": url} | named
    assert header["parameters"] == [{"type": "document", "document": {"link": url} | named}]
