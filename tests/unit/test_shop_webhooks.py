"""Bodies as WooCommerce and Shopify send them, to the facts that are published of them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.amqp.payload_names import payload_name
from shared.amqp.topology import SHOP
from shared.commerce.shops.publishing import WebhookFileError, read_recorded
from shared.commerce.shops.shopify import read_shopify
from shared.commerce.shops.webhooks import ShopFactTold, ShopWebhook, UnreadableWebhook
from shared.commerce.shops.woocommerce import read_woocommerce
from shared.payloads import decode
from shared.payloads.schemas import PAYLOADS_IN

MODELS = {model.__name__: model for model in PAYLOADS_IN}
RECEIVED = datetime(2024, 5, 6, 12, tzinfo=UTC)
AT = "2024-05-06T12:00:05"
BILLING = {
    "first_name": "Ana",
    "last_name": "Ruiz",
    "email": "ana@example.org",
    "phone": "0176 12345678",
    "country": "DE",
}
WOO_ORDER = {
    "id": 727,
    "parent_id": 0,
    "number": "727",
    "status": "processing",
    "currency": "EUR",
    "date_created_gmt": "2024-05-06T11:59:00",
    "date_modified_gmt": AT,
    "total": "29.35",
    "customer_id": 25,
    "billing": BILLING,
    "shipping": {"city": "Berlin"},
    "line_items": [
        {
            "id": 1,
            "product_id": 93,
            "variation_id": 0,
            "quantity": 3,
            "price": 9.783333333333333,
            "name": "Mug",
        },
        {
            "id": 2,
            "product_id": 22,
            "variation_id": 23,
            "quantity": 1,
            "price": "12.00",
            "image": {"src": ""},
        },
    ],
    "coupon_lines": [{"code": "spring"}],
    "refunds": [{"id": 9, "total": "-4.35"}, {"id": 10, "total": "-1.00"}],
}
HELD, BINNED = WOO_ORDER | {"status": "on-hold"}, WOO_ORDER | {"status": "trash"}
WOO_PRODUCT = {
    "id": 93,
    "name": "Mug",
    "price": "12.90",
    "stock_quantity": 4,
    "stock_status": "instock",
    "permalink": "https://shop.example.org/mug",
    "images": [{"src": "https://shop.example.org/mug.jpg"}],
    "date_modified_gmt": AT,
}
WOO_CUSTOMER = {"id": 25, "email": "ana@example.org", "first_name": "Ana", "billing": BILLING, "shipping": {}}
WOO_CART = {
    "items": [
        {
            "id": 93,
            "quantity": 2,
            "name": "Mug",
            "prices": {"price": "1290", "currency_code": "EUR", "currency_minor_unit": 2},
            "variation": [{"attribute": "Colour", "value": "Blue"}],
            "images": [],
        }
    ],
    "totals": {"total_price": "2580", "currency_code": "EUR", "currency_minor_unit": 2},
    "coupons": [{"code": "spring"}],
    "billing_address": BILLING,
}
SHOPIFY_LINE = {"product_id": 632, "variant_id": 808, "quantity": 2, "price": "12.90", "title": "Mug"}
SHOPIFY_ORDER = {
    "id": 820982911946154508,
    "name": "#1001",
    "created_at": "2024-05-06T13:59:00+02:00",
    "updated_at": "2024-05-06T14:00:05+02:00",
    "currency": "EUR",
    "total_price": "25.80",
    "financial_status": "paid",
    "fulfillment_status": None,
    "cancelled_at": None,
    "cart_token": "68778783ad298f1c",
    "email": "ana@example.org",
    "customer": {"id": 115310627314723954, "first_name": "Ana", "phone": None},
    "billing_address": {"phone": "0176 12345678", "country_code": "DE"},
    "line_items": [SHOPIFY_LINE],
    "discount_codes": [{"code": "spring"}],
    "customer_locale": "de-DE",
    "refunds": [],
}
PARCELS = {"tracking_numbers": ["1", "2"], "tracking_company": "DHL", "tracking_urls": ["u"]}
CHECKOUT = {
    "token": "b1946ac92492d234",
    "cart_token": "68778783ad298f1c",
    "currency": "EUR",
    "total_price": "25.80",
    "line_items": [SHOPIFY_LINE],
    "phone": "+4917612345678",
    "abandoned_checkout_url": "https://shop.example.org/recover",
    "updated_at": AT,
    "completed_at": None,
}
REFUNDED = {"kind": "refund", "status": "success", "amount": "5.80", "currency": "EUR"}


def told(platform: str, topic: str, body: dict[str, Any], **headers: str) -> list[ShopFactTold]:
    reader = {"woocommerce": read_woocommerce, "shopify": read_shopify}[platform]
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return reader(ShopWebhook(topic, body, names, RECEIVED, "default", "EUR"))


SHAPES = [
    (
        "woocommerce",
        "order.updated",
        WOO_ORDER,
        "order.updated",
        {
            "order_id": "727",
            "status": "processing",
            "total": "29.35",
            "refunded_total": "5.35",
            "coupon_codes": ["spring"],
            "phone": "0176 12345678",
            "country": "DE",
            "customer": {"customer_id": "25", "name": "Ana Ruiz", "email": "ana@example.org"},
            "items": [
                {"product_id": "93", "quantity": 3, "product_name": "Mug"},
                {"product_id": "22", "variation_id": "23", "quantity": 1, "price": "12.00"},
            ],
        },
    ),
    (
        "woocommerce",
        "order.created",
        WOO_ORDER | {"status": "on-hold"},
        "order.updated",
        {"status": "on_hold"},
    ),
    (
        "woocommerce",
        "order.restored",
        WOO_ORDER | {"status": "trash"},
        "order.updated",
        {"status": "deleted"},
    ),
    (
        "woocommerce",
        "order.updated",
        WOO_ORDER | {"customer_id": 0, "billing": {"phone": ""}},
        "order.updated",
        {"order_id": "727"},
    ),
    (
        "woocommerce",
        "product.updated",
        WOO_PRODUCT,
        "product.updated",
        {"product_id": "93", "price": "12.90", "currency": "EUR", "in_stock": True, "stock_quantity": 4},
    ),
    (
        "woocommerce",
        "product.updated",
        WOO_PRODUCT | {"price": "", "stock_status": "outofstock", "stock_quantity": None},
        "product.updated",
        {"in_stock": False},
    ),
    ("woocommerce", "product.deleted", {"id": 93}, "product.deleted", {"product_id": "93"}),
    (
        "woocommerce",
        "customer.updated",
        WOO_CUSTOMER | {"date_modified_gmt": AT},
        "customer.updated",
        {"customer_id": "25", "name": "Ana", "addresses": [BILLING | {"default": True}]},
    ),
    (
        "woocommerce",
        "cart.updated",
        WOO_CART,
        "cart.updated",
        {"cart_id": "t-1", "total": "25.80", "currency": "EUR", "coupon_code": "spring"},
    ),
    ("woocommerce", "cart.updated", WOO_CART | {"items": []}, "cart.updated", {"items": []}),
    (
        "shopify",
        "orders/create",
        SHOPIFY_ORDER,
        "order.updated",
        {
            "order_id": "820982911946154508",
            "status": "processing",
            "cart_id": "68778783ad298f1c",
            "phone": "0176 12345678",
            "country": "DE",
            "order_number": "#1001",
            "language": "de-DE",
        },
    ),
    (
        "shopify",
        "orders/updated",
        SHOPIFY_ORDER | {"financial_status": "pending"},
        "order.updated",
        {"status": "on_hold"},
    ),
    (
        "shopify",
        "orders/fulfilled",
        SHOPIFY_ORDER
        | {
            "fulfillment_status": "fulfilled",
            "fulfillments": [
                {"tracking_numbers": ["1", "2"], "tracking_company": "DHL", "tracking_urls": ["u"]}
            ],
        },
        "order.updated",
        {
            "status": "shipped",
            "tracking": [{"number": "1", "carrier": "DHL", "url": "u"}, {"number": "2", "carrier": "DHL"}],
        },
    ),
    (
        "shopify",
        "orders/updated",
        SHOPIFY_ORDER | {"fulfillment_status": "fulfilled", "closed_at": AT},
        "order.updated",
        {"status": "completed"},
    ),
    (
        "shopify",
        "orders/cancelled",
        SHOPIFY_ORDER | {"cancelled_at": AT, "financial_status": "voided"},
        "order.updated",
        {"status": "cancelled"},
    ),
    (
        "shopify",
        "orders/updated",
        SHOPIFY_ORDER | {"financial_status": "refunded", "refunds": [{"id": 1, "transactions": [REFUNDED]}]},
        "order.updated",
        {"status": "refunded", "refunded_total": "5.80"},
    ),
    (
        "shopify",
        "refunds/create",
        {"id": 1, "order_id": 2, "created_at": AT, "transactions": [REFUNDED, REFUNDED | {"kind": "void"}]},
        "order.refunded",
        {"order_id": "2", "refund_id": "1", "amount": "5.80", "currency": "EUR"},
    ),
    (
        "shopify",
        "fulfillments/create",
        {"id": 1, "order_id": 2, "created_at": AT, "tracking_number": "17", "tracking_company": "DHL"},
        "order.shipped",
        {"order_id": "2", "tracking": {"number": "17", "carrier": "DHL"}},
    ),
    (
        "shopify",
        "carts/update",
        {"token": "68778783ad298f1c", "line_items": [SHOPIFY_LINE], "updated_at": AT},
        "cart.updated",
        {"cart_id": "68778783ad298f1c", "currency": "EUR"},
    ),
    (
        "shopify",
        "checkouts/update",
        CHECKOUT,
        "cart.updated",
        {"cart_id": "68778783ad298f1c", "phone": "+4917612345678", "total": "25.80"},
    ),
    (
        "shopify",
        "checkouts/update",
        CHECKOUT | {"cart_token": None, "completed_at": AT, "order_id": 7},
        "cart.updated",
        {"cart_id": "b1946ac92492d234", "order_id": "7"},
    ),
    ("shopify", "checkouts/delete", {"token": "b1"}, "cart.deleted", {"cart_id": "b1"}),
    (
        "shopify",
        "products/update",
        {
            "id": 632,
            "title": "Mug",
            "updated_at": AT,
            "variants": [{"price": "12.90", "inventory_quantity": 0}, {"inventory_quantity": 2}],
        },
        "product.updated",
        {"product_id": "632", "price": "12.90", "in_stock": True, "stock_quantity": 2},
    ),
    (
        "shopify",
        "customers/update",
        {
            "id": 7,
            "email": "ana@example.org",
            "phone": "+4917612345678",
            "tags": "vip, wholesale",
            "updated_at": AT,
            "addresses": [{"id": 1, "city": "Berlin"}],
            "default_address": {"id": 1},
        },
        "customer.updated",
        {
            "customer_id": "7",
            "tags": ["vip", "wholesale"],
            "phone": "+4917612345678",
            "addresses": [{"id": 1, "city": "Berlin", "default": True}],
        },
    ),
]


@pytest.mark.parametrize(("platform", "topic", "body", "key", "expected"), SHAPES)
def test_a_body_is_a_fact_that_workers_take(
    platform: str, topic: str, body: dict[str, Any], key: str, expected: dict[str, Any]
) -> None:
    (fact,) = told(
        platform, topic, body, Cart_Token="t-1", X_Shopify_Triggered_At=AT, X_WC_Webhook_Delivery_ID="d-1"
    )

    assert fact.routing_key == key
    assert {name: fact.fields.get(name) for name in expected} == expected
    assert decode(MODELS[payload_name(SHOP, key)], orjson.dumps(fact.fields))


SHOPIFY_CUSTOMER = {
    "id": 7,
    "updated_at": AT,
    "phone": "0176 12345678",
    "default_address": {"id": 1, "country_code": "DE"},
    "accepts_marketing": True,
}
ANSWERED_AT = "2024-05-01T08:00:00-04:00"


@pytest.mark.parametrize(("state", "wanted"), [("subscribed", True), ("unsubscribed", False)])
def test_what_a_customer_answered_shopify_of_their_phone_is_consent_of_that_time(
    state: str, wanted: bool
) -> None:
    said = {"sms_marketing_consent": {"state": state, "consent_updated_at": ANSWERED_AT}}

    customer, consent = told("shopify", "customers/update", SHOPIFY_CUSTOMER | said)

    assert "accepts_marketing" not in customer.fields
    change = decode(MODELS[payload_name(SHOP, consent.routing_key)], orjson.dumps(consent.fields))
    assert change.model_dump() == {
        "wa_id": "4917612345678",
        "marketing": wanted,
        "notifications": None,
        "source": "shop",
        "occurred_at": datetime(2024, 5, 1, 12, tzinfo=UTC),
        "evidence": "default: sms_marketing_consent",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sms_marketing_consent": None},
        {"sms_marketing_consent": {"state": "not_subscribed", "consent_updated_at": ANSWERED_AT}},
        {"sms_marketing_consent": {"state": "subscribed", "consent_updated_at": None}},
        {
            "sms_marketing_consent": {"state": "subscribed", "consent_updated_at": ANSWERED_AT},
            "phone": "1",
        },
    ],
)
def test_a_newsletter_or_an_answer_without_time_or_phone_is_no_consent(changes: dict[str, Any]) -> None:
    facts = told("shopify", "customers/update", SHOPIFY_CUSTOMER | changes)

    assert [fact.routing_key for fact in facts] == ["customer.updated"]


@pytest.mark.parametrize(
    ("platform", "topic", "body"),
    [
        ("woocommerce", "order.updated", WOO_ORDER | {"status": "checkout-draft"}),
        ("woocommerce", "order.deleted", {"id": 727}),
        ("shopify", "orders/delete", {"id": 7}),
        ("shopify", "inventory_levels/update", {"inventory_item_id": 7, "available": 2}),
        ("shopify", "refunds/create", {"id": 1, "order_id": 2, "transactions": []}),
        ("shopify", "fulfillments/create", {"id": 1, "order_id": 2, "created_at": AT}),
    ],
)
def test_what_is_no_fact_says_nothing(platform: str, topic: str, body: dict[str, Any]) -> None:
    assert told(platform, topic, body) == []


def test_an_amount_that_a_double_does_not_keep_is_left_out_rather_than_rounded() -> None:
    (fact,) = told("woocommerce", "order.updated", WOO_ORDER)

    assert ["price" in item for item in fact.fields["items"]] == [False, True]


@pytest.mark.parametrize(
    ("platform", "topic", "body", "error"),
    [
        ("woocommerce", "order.updated", {"id": 1}, "status is missing"),
        (
            "woocommerce",
            "order.updated",
            WOO_ORDER | {"status": "lost"},
            "status 'lost' is none that is known",
        ),
        ("woocommerce", "cart.updated", WOO_CART, "the header Cart-Token is missing"),
        ("woocommerce", "coupon.updated", {}, "coupon.updated is no topic that is read"),
        ("shopify", "orders/create", {"id": 1}, "neither updated_at nor"),
        ("shopify", "themes/update", {}, "themes/update is no topic that is read"),
    ],
)
def test_what_cannot_be_read_says_what_is_missing(
    platform: str, topic: str, body: dict[str, Any], error: str
) -> None:
    with pytest.raises(UnreadableWebhook, match=error):
        told(platform, topic, body)


def write(path: Path, *lines: Any) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return path


def test_a_file_of_recorded_deliveries_is_read_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path / "hooks.jsonl",
        {"headers": {"x-wc-webhook-topic": "order.updated"}, "body": WOO_ORDER},
        {"headers": {"X-WC-Webhook-Topic": "order.deleted"}, "body": {"id": 1}},
    )

    recorded = read_recorded(path, "woocommerce", shop_id="mugs", currency=None)

    assert (recorded.lines, recorded.silent) == (2, 1)
    assert [(fact.routing_key, fact.fields["shop_id"]) for fact in recorded.facts] == [
        ("order.updated", "mugs")
    ]


@pytest.mark.parametrize(
    ("platform", "line", "error"),
    [
        ("woocommerce", {"body": WOO_ORDER}, ":1: the header X-WC-Webhook-Topic is missing"),
        ("woocommerce", {"headers": {}}, ":1: no JSON object with an object `body`"),
        ("wabus", {"key": "cart.lost", "body": {}}, ":1: key is none of cart.updated"),
        ("wabus", {"key": "cart.deleted", "body": {"cart_id": "1"}}, ":1: updated_at: field required"),
        (
            "woocommerce",
            {"headers": {"X-WC-Webhook-Topic": "order.updated"}, "body": WOO_ORDER | {"total": "-1"}},
            ":1: total: ",
        ),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, platform: str, line: Any, error: str) -> None:
    with pytest.raises(WebhookFileError, match=error):
        read_recorded(write(tmp_path / "hooks.jsonl", line), platform, shop_id="default", currency=None)
