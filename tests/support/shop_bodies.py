"""Bodies as WooCommerce and Shopify send them, and what is told of one."""

from datetime import UTC, datetime
from typing import Any

from shared.commerce.shops.shopify import read_shopify
from shared.commerce.shops.webhooks import ShopFactTold, ShopWebhook
from shared.commerce.shops.woocommerce import read_woocommerce

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
