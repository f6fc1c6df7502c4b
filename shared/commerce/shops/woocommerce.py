"""Webhooks of WooCommerce, and carts of its Store API, to facts. Pure.

Its times are whole seconds of UTC without a zone; guests have the customer id 0; a variation is a product.
WooCommerce has no webhook for carts: a plugin sends the Store API's cart under the topic `cart.updated`, with
the cart's token in the header `Cart-Token`. Of a deleted order it says the id alone, which is no fact.
"""

from collections.abc import Mapping
from typing import Any, Final

from shared.commerce.shops.money import from_minor_units
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
from shared.payloads.money import write_money

TOPIC: Final = "X-WC-Webhook-Topic"
_DELIVERY: Final = "X-WC-Webhook-Delivery-ID"
_CART: Final = "Cart-Token"
#: What an order's status is for us. A draft is a checkout that nobody has ended.
_STATUSES: Final = {
    "pending": "pending",
    "on-hold": "on_hold",
    "processing": "processing",
    "shipped": "shipped",
    "delivered": "delivered",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "refunded": "refunded",
    "trash": "deleted",
}
_DRAFTS: Final = ("checkout-draft", "auto-draft")
#: Whether a product is in stock.
_STOCK: Final = {"instock": True, "onbackorder": True, "outofstock": False}


def read_woocommerce(webhook: ShopWebhook) -> list[ShopFactTold]:
    """What one delivery says; nothing for what is no fact. Raises UnreadableWebhook."""
    match webhook.topic:
        case "order.created" | "order.updated" | "order.restored":
            return _read_order(webhook)
        case "product.created" | "product.updated" | "product.restored":
            return [_read_product(webhook)]
        case "product.deleted":
            fields = {"product_id": text(need(webhook.body, "id")), "updated_at": _received(webhook)}
            return [_told("product.deleted", webhook, fields)]
        case "customer.created" | "customer.updated":
            return [_read_customer(webhook)]
        case "cart.updated":
            return [_read_cart(webhook)]
        case "order.deleted" | "customer.deleted":
            return []
        case _:
            raise UnreadableWebhook(f"{webhook.topic} is no topic that is read")


def _read_order(webhook: ShopWebhook) -> list[ShopFactTold]:
    body, billing = webhook.body, inside(webhook.body, "billing")
    said = str(need(body, "status")).removeprefix("wc-")
    if said in _DRAFTS:
        return []
    if said not in _STATUSES:
        raise UnreadableWebhook(f"status {said!r} is none that is known")
    customer = {
        "customer_id": text(body.get("customer_id")),
        "name": name_of(billing),
        "email": text(billing.get("email")),
    }
    fields = {
        "order_id": text(need(body, "id")),
        "status": _STATUSES[said],
        "order_number": text(body.get("number")),
        "placed_at": text(body.get("date_created_gmt")),
        "updated_at": need(body, "date_modified_gmt"),
        "total": need(body, "total"),
        "currency": need(body, "currency"),
        "refunded_total": total_of(item.get("total") for item in objects(body, "refunds")),
        "items": [_order_line(item) for item in objects(body, "line_items")],
        "coupon_codes": [text(item.get("code")) for item in objects(body, "coupon_lines")],
        "shipping_address": dict(inside(body, "shipping")),
        "customer": without_nothing(customer),
        **_whose(billing),
    }
    return [_told("order.updated", webhook, fields)]


def _order_line(item: Mapping[str, Any]) -> dict[str, Any]:
    line = {
        "product_id": text(need(item, "product_id")),
        "variation_id": text(item.get("variation_id")),
        "quantity": need(item, "quantity"),
        "price": money(item.get("price")),
        "product_name": text(item.get("name")),
        "image_url": text(inside(item, "image").get("src")),
    }
    return without_nothing(line)


def _read_product(webhook: ShopWebhook) -> ShopFactTold:
    body = webhook.body
    price = money(body.get("price")) if webhook.currency is not None else None
    fields = {
        "product_id": text(need(body, "id")),
        "name": text(body.get("name")),
        "price": price,
        "currency": webhook.currency if price is not None else None,
        "in_stock": _STOCK.get(str(body.get("stock_status"))),
        "stock_quantity": body.get("stock_quantity"),
        "url": text(body.get("permalink")),
        "image_url": next((text(item.get("src")) for item in objects(body, "images")), None),
        "updated_at": need(body, "date_modified_gmt"),
    }
    return _told("product.updated", webhook, fields)


def _read_customer(webhook: ShopWebhook) -> ShopFactTold:
    body, billing = webhook.body, inside(webhook.body, "billing")
    shipping = inside(body, "shipping")
    addresses = [dict(billing) | {"default": True}] if any(billing.values()) else []
    addresses += [dict(shipping)] if any(shipping.values()) else []
    fields = {
        "customer_id": text(need(body, "id")),
        "name": name_of(body),
        "email": text(body.get("email")),
        "addresses": addresses,
        "updated_at": need(body, "date_modified_gmt"),
        **_whose(billing),
    }
    return _told("customer.updated", webhook, fields)


def _read_cart(webhook: ShopWebhook) -> ShopFactTold:
    body, totals = webhook.body, inside(webhook.body, "totals")
    token = webhook.header(_CART)
    if token is None:
        raise UnreadableWebhook(f"the header {_CART} is missing")
    fields = {
        "cart_id": token,
        "items": [_cart_line(item) for item in objects(body, "items")],
        "total": _from_minor(totals, "total_price"),
        "currency": need(totals, "currency_code"),
        "coupon_code": next((text(item.get("code")) for item in objects(body, "coupons")), None),
        "shipping_address": dict(inside(body, "shipping_address")),
        "updated_at": _received(webhook),
        **_whose(inside(body, "billing_address")),
    }
    told = _told("cart.updated", webhook, fields)
    return ShopFactTold(told.routing_key, {"items": [], **told.fields})


def _cart_line(item: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {str(pair.get("attribute")): pair.get("value") for pair in objects(item, "variation")}
    line = {
        "product_id": text(need(item, "id")),
        "quantity": need(item, "quantity"),
        "price": _from_minor(inside(item, "prices"), "price"),
        "product_name": text(item.get("name")),
        "variant_attributes": chosen,
        "image_url": next((text(image.get("src")) for image in objects(item, "images")), None),
    }
    return without_nothing(line)


def _from_minor(amounts: Mapping[str, Any], name: str) -> str:
    """An amount in minor units, such as cents: `currency_minor_unit` says how many digits those are."""
    try:
        amount = from_minor_units(need(amounts, name), int(need(amounts, "currency_minor_unit")))
    except ValueError as error:
        raise UnreadableWebhook(f"{name} is no whole number of minor units") from error
    return write_money(amount)


def _whose(billing: Mapping[str, Any]) -> dict[str, Any]:
    return {"phone": text(billing.get("phone")), "country": text(billing.get("country"))}


def _received(webhook: ShopWebhook) -> str:
    if webhook.received_at is None:
        raise UnreadableWebhook("the body says no time: received_at is missing")
    return webhook.received_at.isoformat()


def _told(routing_key: str, webhook: ShopWebhook, fields: Mapping[str, Any]) -> ShopFactTold:
    common = {"shop_id": webhook.shop_id, "event_id": webhook.header(_DELIVERY)}
    return ShopFactTold(routing_key, without_nothing(common | dict(fields)))
