"""Webhooks of shop platforms, as they came, and what is published of one. Pure.

Owns the values and how a body is looked into; what a platform's fields mean is that platform's module's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from shared.commerce.shops.money import add
from shared.payloads.money import read_money, write_money


class UnreadableWebhook(Exception):  # noqa: N818 - it says what it is
    """The body is not what its platform sends for its topic; the text names what is missing."""


@dataclass(frozen=True, slots=True)
class ShopWebhook:
    """One delivery. `received_at`: ours, for bodies that say no time of their own.

    `currency`: the shop's, for bodies that say none.
    """

    topic: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    received_at: datetime | None = None
    shop_id: str = "default"
    currency: str | None = None

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class ShopFactTold:
    """What is published to `wa.shop`: routing key and fields of the payload."""

    routing_key: str
    fields: Mapping[str, Any]


def need(body: Mapping[str, Any], name: str) -> Any:
    """A field that the topic cannot do without. Raises UnreadableWebhook."""
    value = body.get(name)
    if value is None or value == "":
        raise UnreadableWebhook(f"{name} is missing")
    return value


def inside(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside of another; empty where there is none."""
    value = body.get(name)
    return value if isinstance(value, Mapping) else {}


def objects(body: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    """A list of objects; empty where there is none."""
    value = body.get(name)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """An id or a word, as text; None for what says nothing: null, an empty text, the id 0."""
    if value is None or isinstance(value, bool) or value in ("", 0, "0"):
        return None
    return str(value)


def money(value: Any) -> str | None:
    """An amount as it is published; None where it cannot be told exactly."""
    try:
        return None if value is None else write_money(read_money(value))
    except ValueError:
        return None


def total_of(amounts: Iterable[Any]) -> str | None:
    """The sum of amounts, whatever their sign; None where there are none."""
    try:
        told = [abs(Decimal(str(amount))) for amount in amounts if amount is not None]
    except InvalidOperation as error:
        raise UnreadableWebhook("an amount is none") from error
    return write_money(add(told)) if told else None


def name_of(body: Mapping[str, Any]) -> str | None:
    """First and last name."""
    return " ".join(filter(None, (text(body.get("first_name")), text(body.get("last_name"))))) or None


def without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that say something."""
    return {name: value for name, value in fields.items() if value is not None and value not in ([], {}, "")}
