"""SHOPS_FILE: what a merchant chose for each shop, as one frozen and validated value.

Owns its keys, defaults and rules, and how a bad value is told in one line. A shop that the file does not name
has its facts stored, and nothing goes out by itself.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from shared.commerce.notices.caps import Cap, read_caps, read_delay
from shared.commerce.notices.hours import QuietHours
from shared.commerce.notices.zones import read_zone
from shared.errors import SettingsError
from shared.messaging.campaigns.rendering import names_used
from shared.payloads import Template

VARIABLE: Final = "SHOPS_FILE"
CART_TYPES: Final = ("cart_reminder_1", "cart_reminder_2", "cart_reminder_3", "cart_reminder_3_no_coupon")
ORDER_TYPES: Final = (
    "order_confirmed",
    "payment_failed",
    "payment_link",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "refunded",
)
_EVERYWHERE: Final = {"name"}
#: What the messages of each type may name between `{{` and `}}`.
VARIABLES: Final[Mapping[str, frozenset[str]]] = {
    **{
        name: frozenset(
            {
                *_EVERYWHERE,
                "item_count",
                "total",
                "currency",
                "top_item_name",
                "top_item_image",
                "cart_url",
                "coupon_code",
                "coupon_value",
            }
        )
        for name in CART_TYPES
    },
    **{
        name: frozenset(
            {
                *_EVERYWHERE,
                "order_number",
                "total",
                "currency",
                "item_count",
                "tracking_number",
                "carrier",
                "tracking_url",
                "refund_amount",
                "payment_url",
            }
        )
        for name in ORDER_TYPES
    },
}


def _read_with(read: Any) -> BeforeValidator:
    """Text of the file, read by one of ours; what is no text is refused as such."""

    def convert(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("must be text")
        return read(value)

    return BeforeValidator(convert)


def _zone(name: str) -> ZoneInfo:
    zone = read_zone(name)
    if zone is None:
        raise ValueError("must be the name of a time zone such as Europe/Berlin")
    return zone


def _money(text: str) -> Decimal:
    if not text.replace(".", "", 1).isdigit() or not text.isascii() or len(text) > 20:
        raise ValueError('must be digits in quotes such as "12.90"')
    return Decimal(text)


Delay = Annotated[timedelta, _read_with(read_delay)]
Zone = Annotated[ZoneInfo, _read_with(_zone)]
Quiet = Annotated[QuietHours, _read_with(QuietHours.read)]
Caps = Annotated[tuple[Cap, ...], _read_with(read_caps)]
Money = Annotated[Decimal, _read_with(_money)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Language = Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,100}$")]
Id = Annotated[str, Field(min_length=1, max_length=100)]


class _MerchantChoice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class ShopMessage(_MerchantChoice):
    """What a type says in one language: `text` inside of the customer service window, else the template."""

    template: Template | None = None
    text: Annotated[str, Field(min_length=1, max_length=4096)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.template is None and self.text is None:
            raise ValueError("must have a template, a text or both")
        return self

    @property
    def variables(self) -> set[str]:
        """Names of what it wants filled in."""
        components = None if self.template is None else self.template.components
        return names_used(self.text) | names_used(components)


class ShopCaps(_MerchantChoice):
    """At most so many automatic marketing messages to a customer, in moving windows."""

    marketing: Caps = (Cap(2, timedelta(hours=24)), Cap(10, timedelta(days=30)))


class FixedCoupon(_MerchantChoice):
    """One code for all, which reminder `on` names. Exactly one of `percent` and `amount`."""

    code: Id
    on: Annotated[int, Field(ge=1, le=3)] = 3
    percent: Money | None = None
    amount: Money | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.percent is None) == (self.amount is None):
            raise ValueError("must have exactly one of percent and amount")
        return self


class CartChoice(_MerchantChoice):
    """When an idle cart is reminded of, counted from its last activity, and when it is given up."""

    reminders: Annotated[tuple[Delay, ...], Field(max_length=3)] = (
        timedelta(hours=4),
        timedelta(hours=24),
        timedelta(hours=48),
    )
    expires: Delay = timedelta(hours=72)
    coupon: FixedCoupon | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sorted(set(self.reminders)) != list(self.reminders):
            raise ValueError("reminders must be one later than the other")
        if self.reminders and self.expires <= self.reminders[-1]:
            raise ValueError("expires must be later than the last reminder")
        return self


class Shop(_MerchantChoice):
    """All that a merchant chose for one shop."""

    currency: Currency
    language: Language = "en"
    timezone: Zone
    phone_number_id: Id
    quiet_hours: Quiet = QuietHours.read("22:00-08:00")
    caps: ShopCaps = ShopCaps()
    cart: CartChoice = CartChoice()
    holdout_percent: Annotated[int, Field(ge=0, le=100)] = 0
    marketing_blocked_countries: tuple[Country, ...] = ("US",)
    messages: dict[Name, dict[Language, ShopMessage]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for kind, languages in self.messages.items():
            known = VARIABLES.get(kind)
            for language, message in languages.items():
                if known is not None and (strange := message.variables - known):
                    names = ", ".join(sorted(known))
                    raise ValueError(f"messages {kind} {language}: {min(strange)!r} is none of {names}")
        return self

    def message(self, kind: str, language: str | None) -> ShopMessage | None:
        """What a type says: in this language, in the one it is a kind of, in the shop's; else None."""
        languages = self.messages.get(kind, {})
        asked = (language or self.language).replace("-", "_")
        names = (asked, asked.partition("_")[0], self.language)
        return next((languages[name] for name in names if name in languages), None)


_SHOPS: Final = TypeAdapter(dict[Annotated[str, Field(min_length=1, max_length=100)], Shop])


def read_shops(path: Path | None) -> dict[str, Shop]:
    """The shops of a file, by `shop_id`; none without one.

    Raises SettingsError: one line with the shop, the key, the rule.
    """
    if path is None:
        return {}
    try:
        content = orjson.loads(path.read_text(encoding="utf-8"))
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{VARIABLE}: must hold JSON ({error}), got {str(path)!r}") from None
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(f"{VARIABLE}: must name a readable file ({cause}), got {str(path)!r}") from None
    try:
        return _SHOPS.validate_python(content)
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    fault = error.errors(include_url=False)[0]
    shop, *inside = [str(part) for part in fault["loc"] if part != "[key]"] or ["?"]
    key = f"{'.'.join(inside)}: " if inside else ""
    rule = (
        fault["msg"]
        .removeprefix("Value error, ")
        .replace("Input should", "must")
        .replace("String should", "must")
        .replace("Extra inputs are not permitted", "is not a known key")
        .replace("Field required", "is required")
    )
    return f"{VARIABLE}: shop {shop!r}: {key}{rule}"
