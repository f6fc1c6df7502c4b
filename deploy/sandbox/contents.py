"""Checks of the message object of each type: text, media, location, contacts, reaction, template.

Owns the limits of the Cloud API's message objects; `interactive` has a module of its own. A check passes or
raises `RequestRefused`; nothing is kept of a content.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from deploy.sandbox.fields import Fields, refuse
from deploy.sandbox.graph_errors import INVALID_PARAMETER, PARAMETER_MISSING
from deploy.sandbox.interactive import check_interactive

TEXT_LENGTH = 4_096
CAPTION_LENGTH = 1_024
NAME_LENGTH = 1_024
TEMPLATE_PARAMETER_LENGTH = 1_024
_MEDIA_KEYS = frozenset({"id", "link", "provider"})
_MEDIA_ID = re.compile("[0-9]+")
_NAME_PARTS = ("first_name", "last_name", "middle_name", "suffix", "prefix")


def check_text(text: Fields) -> None:
    text.allow_only({"body", "preview_url"})
    text.flag("preview_url")
    body = text.text("body", 1_000_000)
    if len(body) > TEXT_LENGTH:
        refuse(INVALID_PARAMETER, f"Param text['body'] must be at most {TEXT_LENGTH} characters long.")


def check_media(media: Fields, *, more: frozenset[str] = frozenset()) -> None:
    """Either an uploaded `id` or a `link`; `more` are the keys that this kind of media has besides.

    No file is uploaded here: whatever may be an id is taken for one.
    """
    media.allow_only(_MEDIA_KEYS | more)
    if media.has("id") == media.has("link"):
        refuse(INVALID_PARAMETER, f"Param {media.path} must have exactly one of id and link.")
    if media.has("link"):
        media.url("link")
    elif not _MEDIA_ID.fullmatch(media.text("id", 255)):
        refuse(
            INVALID_PARAMETER,
            f"Param {media.path}['id'] is not a valid whatsapp business account media attachment ID",
        )
    media.optional_text("caption", CAPTION_LENGTH)
    media.optional_text("filename", 255)


def check_location(location: Fields) -> None:
    location.allow_only({"latitude", "longitude", "name", "address"})
    location.number("latitude", -90, 90)
    location.number("longitude", -180, 180)
    location.optional_text("name", NAME_LENGTH)
    location.optional_text("address", NAME_LENGTH)


def check_reaction(reaction: Fields) -> None:
    """An empty emoji takes the reaction back."""
    reaction.allow_only({"message_id", "emoji"})
    reaction.text("message_id", 255)
    reaction.text("emoji", 32, shortest=0)


def check_contact(contact: Fields) -> None:
    """A contact has a formatted name and at least one part of it."""
    name = contact.object("name")
    name.text("formatted_name", NAME_LENGTH)
    if not any(name.has(part) for part in _NAME_PARTS):
        refuse(
            PARAMETER_MISSING, f"{name.path} needs one of {', '.join(_NAME_PARTS)} besides formatted_name."
        )
    for key in ("phones", "emails", "addresses", "urls"):
        if contact.has(key):
            contact.objects(key, fewest=0)


def check_template(template: Fields) -> None:
    template.text("name", 512)
    language = template.object("language")
    language.text("code", 32)
    if language.has("policy"):
        language.choice("policy", ("deterministic",))
    if template.has("components"):
        for component in template.objects("components", fewest=0):
            check_component(component)


def check_component(component: Fields) -> None:
    kind = component.text("type", 32).lower()
    if kind not in {"header", "body", "footer", "button", "carousel", "limited_time_offer", "order_status"}:
        refuse(INVALID_PARAMETER, f"Param {component.path}.type is not a component type.")
    if kind == "button":
        component.text("sub_type", 32)
        component.number("index", 0, 9)
    if component.has("parameters"):
        for parameter in component.objects("parameters", fewest=0):
            check_parameter(parameter)


def check_parameter(parameter: Fields) -> None:
    kind = parameter.text("type", 32).lower()
    if not parameter.has(kind) and kind in {"text", "image", "video", "document", "payload"}:
        refuse(INVALID_PARAMETER, f"Parameter '{kind}' is mandatory for component parameter type '{kind}'")
    if kind in {"text", "payload"}:
        parameter.text(kind, TEMPLATE_PARAMETER_LENGTH)
    elif kind in {"image", "video", "document"}:
        check_media(parameter.object(kind), more=frozenset({"caption", "filename"}))


def _check_object(check: Callable[[Fields], None], body: Fields, kind: str) -> None:
    check(body.object(kind))


def _check_contacts(body: Fields, kind: str) -> None:
    for contact in body.objects(kind):
        check_contact(contact)


_OBJECT_CHECKS: Mapping[str, Callable[[Fields], None]] = {
    "text": check_text,
    "image": partial(check_media, more=frozenset({"caption"})),
    "video": partial(check_media, more=frozenset({"caption"})),
    "document": partial(check_media, more=frozenset({"caption", "filename"})),
    "audio": partial(check_media, more=frozenset({"voice"})),
    "sticker": check_media,
    "location": check_location,
    "reaction": check_reaction,
    "template": check_template,
    "interactive": check_interactive,
}
#: message type -> check of `body[type]`, called with the whole body and the type
CONTENT_CHECKS: Mapping[str, Callable[[Fields, str], None]] = MappingProxyType(
    {kind: partial(_check_object, check) for kind, check in _OBJECT_CHECKS.items()}
    | {"contacts": _check_contacts}
)
