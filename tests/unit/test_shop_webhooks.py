"""Bodies of WooCommerce and Shopify, to the facts that are published of them."""

from typing import Any

import orjson
import pytest

from shared.amqp.payload_names import payload_name
from shared.amqp.topology import SHOP
from shared.commerce.shops.webhooks import UnreadableWebhook
from shared.payloads import decode
from shared.payloads.schemas import PAYLOADS_IN
from tests.support.shop_bodies import (
    AT,
    BILLING,
    CHECKOUT,
    REFUNDED,
    SHOPIFY_LINE,
    SHOPIFY_ORDER,
    WOO_CART,
    WOO_CUSTOMER,
    WOO_ORDER,
    WOO_PRODUCT,
    told,
)

MODELS = {model.__name__: model for model in PAYLOADS_IN}

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
