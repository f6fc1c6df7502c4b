"""What a notice says to one customer: the shop's text or template, filled in. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.commerce.notices.ids import client_message_id
from shared.commerce.notices.planning import NoticeCategory
from shared.commerce.shops.file import ShopMessage
from shared.messaging.campaigns.rendering import render_template, render_text, texts_of
from shared.payloads import OutboundMessage

#: How a customer is called whose name nobody told, by language.
_NAMELESS: Final = {
    "de": "zusammen",
    "es": "cliente",
    "fr": "client",
    "it": "cliente",
    "nl": "klant",
    "pt": "cliente",
}


def named(variables: Mapping[str, str], name: str | None, language: str | None) -> dict[str, str]:
    """With `name`: theirs, else a word that fits in its place."""
    fallback = _NAMELESS.get((language or "en").partition("_")[0], "there")
    return {"name": name or fallback, **variables}


def notice_message(
    said: ShopMessage,
    *,
    notice_id: UUID,
    attempt: int,
    customer: str,
    phone_number_id: str,
    category: NoticeCategory,
    variables: Mapping[str, str],
    as_text: bool,
    leaves_by: datetime | None,
) -> OutboundMessage:
    """The message. Raises MissingVariable."""
    texts = texts_of(variables)
    text, template = (said.text, None) if as_text else (None, said.template)
    return OutboundMessage(
        wa_id=customer,
        phone_number_id=phone_number_id,
        client_message_id=client_message_id(notice_id, attempt),
        notification_id=str(notice_id),
        category=category,
        expires_at=leaves_by,
        message_text=None if text is None else render_text(text, texts),
        template=None if template is None else render_template(template, texts),
    )
