"""SHOPS_FILE: what it takes, and how a bad value is told in one line."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.commerce.notices.caps import Cap
from shared.commerce.shops.file import Shop, read_shops
from shared.errors import SettingsError

#: As the design's example has it.
EXAMPLE: dict[str, Any] = {
    "currency": "EUR",
    "language": "en",
    "timezone": "Europe/Berlin",
    "phone_number_id": "1001",
    "quiet_hours": "22:00-08:00",
    "caps": {"marketing": "2/24h,10/30d"},
    "cart": {"reminders": ["4h", "24h", "48h"], "expires": "72h"},
    "messages": {
        "cart_reminder_1": {
            "en": {
                "template": {"name": "cart_1", "language": "en"},
                "text": "Hi {{name}}, your cart waits: {{cart_url}}",
            },
            "pt_BR": {"text": "Oi {{name}}"},
        }
    },
}


def read(tmp_path: Path, content: object) -> dict[str, Shop]:
    path = tmp_path / "shops.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_shops(path)


def refused(tmp_path: Path, content: object) -> str:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, content)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_shop_has_what_its_merchant_chose(tmp_path: Path) -> None:
    shop = read(tmp_path, {"default": EXAMPLE})["default"]

    assert shop.timezone.key == "Europe/Berlin"
    assert shop.caps.marketing == (Cap(2, timedelta(hours=24)), Cap(10, timedelta(days=30)))
    assert shop.cart.reminders == (timedelta(hours=4), timedelta(hours=24), timedelta(hours=48))
    assert shop.marketing_blocked_countries == ("US",)


def test_what_is_left_out_is_what_the_example_says(tmp_path: Path) -> None:
    chosen = read(tmp_path, {"default": EXAMPLE})["default"]
    needed = {name: EXAMPLE[name] for name in ("currency", "timezone", "phone_number_id", "messages")}

    assert read(tmp_path, {"default": needed})["default"] == chosen


@pytest.mark.parametrize(
    ("kind", "language", "text"),
    [
        ("cart_reminder_1", "pt_BR", "Oi {{name}}"),
        ("cart_reminder_1", "pt-BR", "Oi {{name}}"),
        ("cart_reminder_1", "en_GB", "Hi {{name}}, your cart waits: {{cart_url}}"),
        ("cart_reminder_1", "de", "Hi {{name}}, your cart waits: {{cart_url}}"),
        ("cart_reminder_1", None, "Hi {{name}}, your cart waits: {{cart_url}}"),
        ("shipped", "en", None),
    ],
)
def test_a_type_speaks_the_nearest_language_that_it_has(
    tmp_path: Path, kind: str, language: str | None, text: str | None
) -> None:
    message = read(tmp_path, {"default": EXAMPLE})["default"].message(kind, language)

    assert (None if message is None else message.text) == text


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("currency", "euro", "currency: must match"),
        ("timezone", "Mars/Olympus", "timezone: must be the name of a time zone"),
        ("timezone", 2, "timezone: must be text"),
        ("quiet_hours", "22-8", "quiet_hours: must be two times of day"),
        ("caps", {"marketing": "many"}, "caps.marketing: must be caps such as"),
        ("cart", {"reminders": ["24h", "4h"]}, "cart: reminders must be one later than the other"),
        ("cart", {"reminders": ["4h"], "expires": "4h"}, "cart: expires must be later"),
        ("cart", {"reminders": ["soon"]}, "cart.reminders.0: must be a delay"),
        (
            "cart",
            {"coupon": {"code": "A", "percent": "10", "amount": "5"}},
            "exactly one of percent and amount",
        ),
        ("cart", {"coupon": {"code": "A", "percent": 10}}, "cart.coupon.percent: must be text"),
        ("holdout_percent", 101, "holdout_percent: must be less than or equal to 100"),
        ("marketing_blocked_countries", ["usa"], "marketing_blocked_countries.0: must match"),
        ("messages", {"shipped": {"en": {}}}, "must have a template, a text or both"),
        ("messages", {"shipped": {"en": {"text": "{{cart_url}}"}}}, "'cart_url' is none of"),
        ("messages", {"Shipped!": {"en": {"text": "a"}}}, "must match"),
        ("remindes", [], "remindes: is not a known key"),
    ],
)
def test_a_bad_value_is_one_line_with_the_shop_the_key_and_the_rule(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    line = refused(tmp_path, {"boots": {**EXAMPLE, key: value}})

    assert line.startswith("SHOPS_FILE: shop 'boots': ")
    assert told in line


@pytest.mark.parametrize("missing", ["currency", "timezone", "phone_number_id"])
def test_what_a_shop_needs_is_named(tmp_path: Path, missing: str) -> None:
    left = {name: value for name, value in EXAMPLE.items() if name != missing}

    assert refused(tmp_path, {"boots": left}) == f"SHOPS_FILE: shop 'boots': {missing}: is required"


@pytest.mark.parametrize("content", ["", "{", "[]", '"a"', '{"": {}}', '{"a": []}'])
def test_what_is_no_object_of_shops_is_refused(tmp_path: Path, content: str) -> None:
    assert refused(tmp_path, content).startswith("SHOPS_FILE: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="SHOPS_FILE: must name a readable file"):
        read_shops(tmp_path / "none.json")
