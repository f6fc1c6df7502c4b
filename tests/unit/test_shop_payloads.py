"""What of a shop's payloads is taken, what is dropped, and what is refused with which words."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from shared.payloads import InvalidPayload, decode, read
from shared.payloads.examples import EXAMPLES
from shared.payloads.money import read_money, write_money
from shared.payloads.schemas import PAYLOADS_IN
from shared.payloads.shop import MOST_ITEMS, MOST_VIEWS

SHOP = [model for model in PAYLOADS_IN if model.__module__ == "shared.payloads.shop"]
BY_NAME: dict[str, Any] = {model.__name__: model for model in SHOP}


def body(name: str, **changes: Any) -> bytes:
    return orjson.dumps(EXAMPLES[name][0] | changes)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_first_example_of_a_payload_is_taken(name: str) -> None:
    assert decode(BY_NAME[name], body(name))


@pytest.mark.parametrize(
    ("name", "changes", "error"),
    [
        ("CartUpdated", {"items": [{"product_id": "7", "quantity": 0, "price": "1"}]}, "items.0.quantity"),
        (
            "CartUpdated",
            {"items": [{"product_id": "7", "quantity": 10_000}], "total": "1"},
            "items.0.quantity",
        ),
        ("CartUpdated", {"items": [{"product_id": "7", "quantity": 1, "price": "-1"}]}, "items.0.price"),
        ("CartUpdated", {"items": [{"product_id": "7", "quantity": 1}]}, "total: required"),
        ("CartUpdated", {"items": [{"product_id": "7", "quantity": 1}] * (MOST_ITEMS + 1)}, "items: "),
        (
            "CartUpdated",
            {"items": [{"product_id": "7", "quantity": 9_999, "price": "999999999999999"}]},
            "items: they cost more",
        ),
        ("CartUpdated", {"currency": "eur"}, "currency: "),
        ("CartUpdated", {"cart_id": "c" * 101}, "cart_id: "),
        ("CartUpdated", {"updated_at": "2100-01-01T00:00:00Z"}, "updated_at: outside 2009"),
        ("CartUpdated", {"version": -1}, "version: "),
        ("CartUpdated", {"event_id": "e" * 256}, "event_id: "),
        ("CartDeleted", {"updated_at": None}, "updated_at: "),
        ("OrderUpdated", {"status": "lost"}, "status: "),
        ("OrderUpdated", {"total": 12.345678}, "total: "),
        ("OrderShipped", {"tracking": {}}, "tracking.number: "),
        ("OrderRefunded", {"amount": "1.00001"}, "amount: "),
        ("ProductUpdated", {"currency": None}, "currency: required beside price"),
        ("ProductDeleted", {"product_id": ""}, "product_id: "),
        ("InventoryUpdated", {"quantity": 2**31}, "quantity: "),
        ("CustomerUpdated", {"updated_at": "yesterday"}, "updated_at: "),
        (
            "CustomerUpdated",
            {"accepts_marketing": "no"},
            "accepts_marketing: input should be a valid boolean",
        ),
        ("CartUpdated", {"accepts_marketing": 0}, "accepts_marketing: input should be a valid boolean"),
        ("ProductViewed", {"views": []}, "views: "),
        ("ProductViewed", {"views": EXAMPLES["ProductViewed"][0]["views"] * (MOST_VIEWS + 1)}, "views: "),
        ("ProductViewed", {"views": [{"product_id": "7"}]}, "views.0.viewed_at: "),
    ],
)
def test_a_breach_names_its_field(name: str, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidPayload, match=error):
        decode(BY_NAME[name], body(name, **changes))


@pytest.mark.parametrize(
    "changes",
    [{"wa_id": "no phone"}, {"phone": "p" * 65}, {"country": "Germany"}, {"language": 7}, {"cart_url": 7}],
)
def test_what_decides_nothing_is_dropped_in_the_wrong_shape(changes: dict[str, Any]) -> None:
    decoded = read(BY_NAME["CartUpdated"], body("CartUpdated", **changes))

    assert list(decoded.dropped) == list(changes)


@pytest.mark.parametrize(
    ("given", "written"),
    [("12.90", "12.90"), ("0", "0"), (7, "7"), (12.5, "12.5"), (0.1, "0.1"), (100.0, "100")],
)
def test_an_amount_is_as_it_was_written(given: object, written: str) -> None:
    assert write_money(read_money(given)) == written


@pytest.mark.parametrize(
    "given",
    ["-1", "1,5", "1e3", "", "1.00001", "1" * 16, True, None, -1, 10**15, 1234567890123.4567, Decimal("NaN")],
)
def test_what_is_no_exact_amount_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="an amount is text of digits"):
        read_money(given)
