"""Webhooks of Shopify to facts. Pure.

A cart's id is its token; a checkout's is that of its cart, else its own; an order names the same.
Stock levels name an inventory item, which is no product: they are no fact. Of a deleted order it says the id
alone, which is none either.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.commerce.shops.phones import read_phone
from shared.commerce.shops.webhooks import (
    ShopFactTold,
    ShopWebhook,
    UnreadableWebhook,
    inside,
    money,
    name_of,
    need,
    objects,
    text,
    total_of,
    without_nothing,
)

TOPIC: Final = "X-Shopify-Topic"
_EVENT: Final = "X-Shopify-Event-Id"
_TRIGGERED: Final = "X-Shopify-Triggered-At"
#: What says nothing that is kept.
_SILENT: Final = ("orders/delete", "inventory_levels/update", "customers/delete")
#: What an order's payment says of it, while it is neither cancelled nor on its way.
_PAID: Final = {
    "paid": "processing",
    "partially_refunded": "processing",
    "authorized": "processing",
    "pending": "on_hold",
    "partially_paid": "on_hold",
    "refunded": "refunded",
    "voided": "cancelled",
    "expired": "cancelled",
}
#: Whether marketing is wanted; who was not asked, or has yet to confirm, says nothing.
_ANSWERED: Final = {"subscribed": True, "unsubscribed": False}


def read_shopify(webhook: ShopWebhook) -> list[ShopFactTold]:
    """What one delivery says; nothing for what is no fact. Raises UnreadableWebhook."""
    if webhook.topic in _SILENT:
        return []
    reader = _READERS.get(webhook.topic)
    if reader is None:
        raise UnreadableWebhook(f"{webhook.topic} is no topic that is read")
    return reader(webhook)


def _read_cart_of_its_own(webhook: ShopWebhook) -> list[ShopFactTold]:
    return [_read_cart(webhook, text(need(webhook.body, "token")))]


def _read_checkout(webhook: ShopWebhook) -> list[ShopFactTold]:
    body = webhook.body
    return [_read_cart(webhook, text(body.get("cart_token")) or text(need(body, "token")))]


def _read_deleted_checkout(webhook: ShopWebhook) -> list[ShopFactTold]:
    fields = {"cart_id": text(need(webhook.body, "token")), "updated_at": _at(webhook)}
    return [_told("cart.deleted", webhook, fields)]


def _read_deleted_product(webhook: ShopWebhook) -> list[ShopFactTold]:
    fields = {"product_id": text(need(webhook.body, "id")), "updated_at": _at(webhook)}
    return [_told("product.deleted", webhook, fields)]


def _read_cart(webhook: ShopWebhook, cart_id: str | None) -> ShopFactTold:
    body = webhook.body
    lines = objects(body, "line_items")
    currency = text(body.get("currency")) or _currency_of(lines) or webhook.currency
    if currency is None:
        raise UnreadableWebhook("currency is missing, and the shop's is not known")
    customer = inside(body, "customer")
    fields = {
        "cart_id": cart_id,
        "items": [_line(item) for item in lines],
        "total": money(body.get("total_price")),
        "currency": currency,
        "coupon_code": next((text(item.get("code")) for item in objects(body, "discount_codes")), None),
        "shipping_address": dict(inside(body, "shipping_address")),
        "cart_url": text(body.get("abandoned_checkout_url")),
        "customer_id": text(customer.get("id")),
        "language": text(body.get("customer_locale")),
        "order_id": text(body.get("order_id")) if body.get("completed_at") is not None else None,
        "updated_at": _at(webhook),
        **_whose(body),
    }
    told = _told("cart.updated", webhook, fields)
    return ShopFactTold(told.routing_key, {"items": [], **told.fields})


def _read_order(webhook: ShopWebhook) -> list[ShopFactTold]:
    body, customer = webhook.body, inside(webhook.body, "customer")
    who = {
        "customer_id": text(customer.get("id")),
        "name": name_of(customer),
        "email": text(body.get("email")) or text(customer.get("email")),
    }
    refunds = [item for refund in objects(body, "refunds") for item in _refund_amounts(refund)]
    fields = {
        "order_id": text(need(body, "id")),
        "status": _status(body),
        "order_number": text(body.get("name")) or text(body.get("order_number")),
        "placed_at": text(body.get("created_at")),
        "updated_at": _at(webhook),
        "total": need(body, "total_price"),
        "currency": need(body, "currency"),
        "refunded_total": total_of(refunds),
        "items": [_line(item) for item in objects(body, "line_items")],
        "cart_id": text(body.get("cart_token")) or text(body.get("checkout_token")),
        "coupon_codes": [text(item.get("code")) for item in objects(body, "discount_codes")],
        "shipping_address": dict(inside(body, "shipping_address")),
        "customer": without_nothing(who),
        "tracking": [item for sent in objects(body, "fulfillments") for item in _parcels(sent)],
        "language": text(body.get("customer_locale")),
        **_whose(body),
    }
    return [_told("order.updated", webhook, fields)]


def _status(body: Mapping[str, Any]) -> str:
    if body.get("cancelled_at") is not None:
        return "cancelled"
    paid = _PAID.get(str(body.get("financial_status")), "pending")
    if paid in ("refunded", "cancelled") or body.get("fulfillment_status") != "fulfilled":
        return paid
    return "completed" if body.get("closed_at") is not None else "shipped"


def _line(item: Mapping[str, Any]) -> dict[str, Any]:
    line = {
        "product_id": text(item.get("product_id")) or text(need(item, "variant_id")),
        "variation_id": text(item.get("variant_id")),
        "quantity": need(item, "quantity"),
        "price": money(item.get("price")),
        "product_name": text(item.get("title")),
    }
    return without_nothing(line)


def _currency_of(lines: "list[Mapping[str, Any]] | Any") -> str | None:
    codes = (inside(inside(item, "price_set"), "shop_money").get("currency_code") for item in lines)
    return next((text(code) for code in codes if code), None)


def _read_refund(webhook: ShopWebhook) -> list[ShopFactTold]:
    body = webhook.body
    moved = [item for item in objects(body, "transactions") if _is_refund(item)]
    if not moved:
        return []
    fields = {
        "order_id": text(need(body, "order_id")),
        "refund_id": text(need(body, "id")),
        "amount": total_of(item.get("amount") for item in moved),
        "currency": need(moved[0], "currency"),
        "occurred_at": body.get("processed_at") or need(body, "created_at"),
    }
    return [_told("order.refunded", webhook, fields)]


def _refund_amounts(refund: Mapping[str, Any]) -> list[Any]:
    return [item.get("amount") for item in objects(refund, "transactions") if _is_refund(item)]


def _is_refund(transaction: Mapping[str, Any]) -> bool:
    return transaction.get("kind") == "refund" and transaction.get("status") == "success"


def _read_fulfillment(webhook: ShopWebhook) -> list[ShopFactTold]:
    """A fact for each parcel; without a number there is nothing to tell."""
    body = webhook.body
    return [
        _told(
            "order.shipped",
            webhook,
            {
                "order_id": text(need(body, "order_id")),
                "tracking": parcel,
                "occurred_at": body.get("updated_at") or need(body, "created_at"),
            },
        )
        for parcel in _parcels(body)
    ]


def _parcels(fulfillment: Mapping[str, Any]) -> list[dict[str, Any]]:
    numbers = fulfillment.get("tracking_numbers") or [fulfillment.get("tracking_number")]
    urls = fulfillment.get("tracking_urls") or [fulfillment.get("tracking_url")]
    carrier = text(fulfillment.get("tracking_company"))
    return [
        without_nothing(
            {
                "number": str(number),
                "carrier": carrier,
                "url": text(urls[place]) if place < len(urls) else None,
            }
        )
        for place, number in enumerate(numbers)
        if text(number) is not None
    ]


def _read_product(webhook: ShopWebhook) -> list[ShopFactTold]:
    """Its price is that of its first variant, its stock that of all."""
    body, variants = webhook.body, objects(webhook.body, "variants")
    price = money(variants[0].get("price")) if variants and webhook.currency is not None else None
    stocks = [item.get("inventory_quantity") for item in variants]
    known = [stock for stock in stocks if isinstance(stock, int)]
    fields = {
        "product_id": text(need(body, "id")),
        "name": text(body.get("title")),
        "price": price,
        "currency": webhook.currency if price is not None else None,
        "in_stock": sum(known) > 0 if known else None,
        "stock_quantity": sum(known) if known else None,
        "image_url": text(inside(body, "image").get("src")),
        "updated_at": _at(webhook),
    }
    return [_told("product.updated", webhook, fields)]


def _read_customer(webhook: ShopWebhook) -> list[ShopFactTold]:
    body = webhook.body
    default = inside(body, "default_address").get("id")
    addresses = [
        dict(item) | {"default": default is not None and item.get("id") == default}
        for item in objects(body, "addresses")
    ]
    tags = [tag.strip() for tag in str(body.get("tags") or "").split(",") if tag.strip()]
    fields = {
        "customer_id": text(need(body, "id")),
        "name": name_of(body),
        "email": text(body.get("email")),
        "addresses": addresses,
        "tags": tags,
        "updated_at": _at(webhook),
        **_whose({"phone": body.get("phone"), "billing_address": inside(body, "default_address")}),
    }
    return [_told("customer.updated", webhook, fields), *_read_consent(webhook, fields)]


def _read_consent(webhook: ShopWebhook, customer: Mapping[str, Any]) -> list[ShopFactTold]:
    """What the customer answered of messages to their phone, as of when they did.

    The body repeats it at each change of anything: by the body's time it would outvote a STOP in a chat.
    """
    said = inside(webhook.body, "sms_marketing_consent")
    wanted = _ANSWERED.get(str(said.get("state")))
    at, phone = text(said.get("consent_updated_at")), customer["phone"]
    address = None if phone is None else read_phone(phone, customer["country"])
    if wanted is None or at is None or address is None:
        return []
    fields = {
        "wa_id": address,
        "marketing": wanted,
        "source": "shop",
        "occurred_at": at,
        "evidence": f"{webhook.shop_id}: sms_marketing_consent",
    }
    return [ShopFactTold("consent", fields)]


def _whose(body: Mapping[str, Any]) -> dict[str, Any]:
    """The phone that the customer left, with the country that it is to be read in."""
    places = [inside(body, name) for name in ("billing_address", "shipping_address")]
    people = [body, inside(body, "customer"), *places]
    phone = next((text(item.get("phone")) for item in people if text(item.get("phone"))), None)
    country = next((text(item.get("country_code")) for item in places if item.get("country_code")), None)
    return {"phone": phone, "country": country}


def _at(webhook: ShopWebhook) -> str:
    """The body's time, else when Shopify says that it happened."""
    at = text(webhook.body.get("updated_at")) or webhook.header(_TRIGGERED)
    if at is None:
        raise UnreadableWebhook(f"neither updated_at nor the header {_TRIGGERED} says a time")
    return at


def _told(routing_key: str, webhook: ShopWebhook, fields: Mapping[str, Any]) -> ShopFactTold:
    common = {"shop_id": webhook.shop_id, "event_id": webhook.header(_EVENT)}
    return ShopFactTold(routing_key, without_nothing(common | dict(fields)))


#: How each topic is read.
_READERS: Final[Mapping[str, Callable[[ShopWebhook], list[ShopFactTold]]]] = {
    "carts/create": _read_cart_of_its_own,
    "carts/update": _read_cart_of_its_own,
    "checkouts/create": _read_checkout,
    "checkouts/update": _read_checkout,
    "checkouts/delete": _read_deleted_checkout,
    "orders/create": _read_order,
    "orders/updated": _read_order,
    "orders/edited": _read_order,
    "orders/paid": _read_order,
    "orders/cancelled": _read_order,
    "orders/fulfilled": _read_order,
    "orders/partially_fulfilled": _read_order,
    "refunds/create": _read_refund,
    "fulfillments/create": _read_fulfillment,
    "fulfillments/update": _read_fulfillment,
    "products/create": _read_product,
    "products/update": _read_product,
    "products/delete": _read_deleted_product,
    "customers/create": _read_customer,
    "customers/update": _read_customer,
}
