"""The body of the Cloud API's send call for a message. Pure.

Owns the form that Meta documents for `POST /{version}/{phone_number_id}/messages`. Limits of texts, captions
and buttons are the platform's to enforce: its answer names the field.
"""

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import orjson

from shared.payloads import OutboundMessage

#: Kinds of media, under their own name and as other platforms say it.
_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "image": "image",
        "video": "video",
        "audio": "audio",
        "voice": "audio",
        "document": "document",
        "file": "document",
        "sticker": "sticker",
        "image/jpeg": "image",
        "image/jpg": "image",
        "image/png": "image",
        "image/webp": "sticker",
        "video/mp4": "video",
        "video/3gpp": "video",
        "audio/aac": "audio",
        "audio/amr": "audio",
        "audio/mp4": "audio",
        "audio/mpeg": "audio",
        "audio/ogg": "audio",
    }
)
_KIND_OF_SUFFIX: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys((".jpg", ".jpeg", ".png"), "image"),
        **dict.fromkeys((".mp4", ".3gp"), "video"),
        **dict.fromkeys((".aac", ".amr", ".m4a", ".mp3", ".ogg", ".opus"), "audio"),
        ".webp": "sticker",
    }
)


#: Of a file's name that comes from its URL.
_NAME_LENGTH: Final = 240


def encode_body(message: OutboundMessage, address: str, callback_data: str) -> bytes:
    """The JSON of `build_body`, whatever numbers a publisher's own objects hold."""
    body = build_body(message, address, callback_data)
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body).encode()  # orjson ends at 64 bits


def build_body(message: OutboundMessage, address: str, callback_data: str) -> dict[str, Any]:
    """The JSON object to send. `address`: digits, or a business-scoped user id (`CC.…`)."""
    kind = message_type(message)
    body: dict[str, Any] = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to" if address.isdigit() else "recipient": address,
        "type": kind,
        kind: _content(message, kind),
        "biz_opaque_callback_data": callback_data,
    }
    if message.context_wamid is not None and kind != "reaction":
        body["context"] = {"message_id": message.context_wamid}
    return body


def message_type(message: OutboundMessage) -> str:
    """The platform's type of a message, which also names the key of its content."""
    match message.content_kind:
        case "message_text":
            return "text"
        case "media_url" | "media_id":
            return _media_kind(message)
        case kind:
            return kind


def _content(message: OutboundMessage, kind: str) -> Any:
    match message.content_kind:
        case "message_text":
            return {"body": message.message_text}
        case "media_url" | "media_id":
            return _media(message, kind)
        case "template":
            return _template(message)
        case "interactive":
            return message.interactive
        case "location":
            return _present(message.location, "latitude", "longitude", "name", "address")
        case "contacts":
            return message.contacts
        case "reaction":
            return _present(message.reaction, "message_id", "emoji")


def _media_kind(message: OutboundMessage) -> str:
    """By the type that the publisher names, else by the file's name, else a document.

    Only images, videos and documents can have a caption: what has one and is none of these goes as document,
    so that the text reaches the customer.
    """
    named = (message.media_type or "").partition(";")[0].strip().lower()
    kind = _KINDS.get(named) if named else _KIND_OF_SUFFIX.get(_suffix(message))
    if kind in ("audio", "sticker") and message.caption:
        return "document"
    return kind or "document"


def _suffix(message: OutboundMessage) -> str:
    name = message.filename or urlsplit(message.media_url or "").path
    return PurePosixPath(name).suffix.lower()


def _media(message: OutboundMessage, kind: str) -> dict[str, Any]:
    media: dict[str, Any] = {"link": message.media_url} if message.media_url else {"id": message.media_id}
    if message.caption:
        media["caption"] = message.caption
    name = message.filename or _name_in(message.media_url)
    if kind == "document" and name:
        media["filename"] = name
    return media


def _name_in(url: object) -> str:
    """The name that a URL gives its file, which the customer sees; empty where it gives none."""
    try:
        name = PurePosixPath(unquote(urlsplit(url).path)).name if isinstance(url, str) else ""
    except ValueError:
        return ""
    return name[:_NAME_LENGTH] if name.isprintable() else ""


def _template(message: OutboundMessage) -> dict[str, Any]:
    template = message.template
    assert template is not None
    body: dict[str, Any] = {
        "name": template.name,
        "language": {"code": template.language, "policy": "deterministic"},
    }
    if template.components:
        body["components"] = [_with_names(component) for component in template.components]
    return body


def _with_names(component: dict[str, Any]) -> dict[str, Any]:
    """A header's document without `filename` gets it from its URL."""
    parameters = component.get("parameters")
    if not isinstance(parameters, list):
        return component
    return component | {"parameters": [_named(parameter) for parameter in parameters]}


def _named(parameter: Any) -> Any:
    match parameter:
        case {"document": {"link": link, **rest} as document} if not rest.get("filename"):
            name = _name_in(link)
            return parameter | {"document": document | {"filename": name}} if name else parameter
        case _:
            return parameter


def _present(value: object, *names: str) -> dict[str, Any]:
    return {name: item for name in names if (item := getattr(value, name)) is not None}
