"""What a shop says of its carts, orders and products: each a fact, whole, and never a difference.

A field that is left out is null. Who the customer is may be told in several ways, or not at all.
"""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, StrictBool, StringConstraints, model_validator

from shared.payloads.fields import (
    ContactName,
    CustomerId,
    EventTime,
    Identifier,
    Maybe,
    PlannedTime,
    Side,
    Text,
    null_means,
)
from shared.payloads.model import Part, Payload
from shared.payloads.money import WHOLE_DIGITS, Currency, Money
from shared.payloads.schema_rules import none_of, telling_without

OrderStatus = Literal[
    "pending",
    "on_hold",
    "processing",
    "shipped",
    "delivered",
    "completed",
    "failed",
    "cancelled",
    "refunded",
    "deleted",
]
#: Items of a cart, an order.
MOST_ITEMS: Final = 200
#: Views of one message.
MOST_VIEWS: Final = 500
DEFAULT_SHOP: Final = "default"
_LIMIT: Final = Decimal(10) ** WHOLE_DIGITS
_MOST_PIECES: Final = 9_999

_ShopId = Annotated[Identifier, null_means(DEFAULT_SHOP, Identifier)]
_Version = Annotated[int, Field(ge=0, lt=2**63)]
_EventId = Annotated[str, StringConstraints(min_length=1, max_length=255)]
_Count = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_Country = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2}$")]
_Phone = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_WhatsApp = Annotated[bool, null_means(True, bool)]


class ShopFact(Payload):
    """What every fact has: its shop and its place among the facts of the same thing.

    `version`: a publisher gives it always or never. `event_id`: the delivery's, for people.
    """

    shop_id: _ShopId = DEFAULT_SHOP
    updated_at: EventTime
    version: Maybe[_Version] = None
    event_id: Maybe[_EventId] = None


class CustomerFact(ShopFact):
    """A fact that may name its customer: by `wa_id`, by `phone` and `country`, or by an id of the shop's."""

    wa_id: Side[CustomerId] = None
    phone: Side[_Phone] = None
    country: Side[_Country] = None
    language: Side[Identifier] = None
    timezone: Side[Identifier] = None


class ShopItem(Part):
    """One line of a cart or an order. `price`: of one piece, in the currency of the whole, if it is exact."""

    product_id: Identifier
    variation_id: Maybe[Identifier] = None
    quantity: Annotated[int, Field(ge=1, le=_MOST_PIECES)]
    price: Maybe[Money] = None
    product_name: Side[str] = None
    variant_attributes: Side[dict[str, Any]] = None
    image_url: Side[Text] = None


_Items = Annotated[list[ShopItem], Field(max_length=MOST_ITEMS, fail_fast=True)]


class CartUpdated(CustomerFact):
    """`wa.shop`, key `cart.updated`: the whole cart; without items it was emptied.

    Without `total` it is what its items cost. `order_id`: this cart was bought. `accepts_marketing`: what its
    customer answered at `updated_at`.
    """

    cart_id: Identifier
    items: _Items
    currency: Currency
    total: Maybe[Money] = None
    coupon_code: Maybe[Identifier] = None
    shipping_address: Side[dict[str, Any]] = None
    cart_url: Side[Text] = None
    customer_id: Maybe[Identifier] = None
    phone_number_id: Maybe[Identifier] = None
    accepts_marketing: Maybe[StrictBool] = None
    order_id: Maybe[Identifier] = None

    @property
    def amount(self) -> Decimal:
        """What the cart costs."""
        if self.total is not None:
            return self.total
        return sum((item.price * item.quantity for item in self.items if item.price is not None), Decimal(0))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.total is None and any(item.price is None for item in self.items):
            raise ValueError("total: required where an item has no price")
        if self.amount >= _LIMIT:
            raise ValueError(f"items: they cost more than {WHOLE_DIGITS} digits can say")
        return self


class CartDeleted(ShopFact):
    """`wa.shop`, key `cart.deleted`."""

    cart_id: Identifier


class Tracking(Part):
    """A parcel, known by its number."""

    number: Identifier
    carrier: Side[ContactName] = None
    url: Side[Text] = None


class OrderCustomer(Part):
    """Who ordered, as the shop knows them."""

    customer_id: Maybe[Identifier] = None
    name: Side[ContactName] = None
    email: Side[ContactName] = None


class OrderUpdated(CustomerFact):
    """`wa.shop`, key `order.updated`: the whole order. `whatsapp` false: nobody is told of it by us."""

    order_id: Identifier
    status: OrderStatus
    total: Money
    currency: Currency
    placed_at: Maybe[PlannedTime] = None
    order_number: Maybe[Identifier] = None
    refunded_total: Maybe[Money] = None
    items: Annotated[_Items, null_means((), _Items)] = Field(default_factory=list)
    cart_id: Maybe[Identifier] = None
    coupon_codes: Side[list[Identifier]] = None
    shipping_address: Side[dict[str, Any]] = None
    customer: Maybe[OrderCustomer] = None
    tracking: Maybe[Annotated[list[Tracking], Field(max_length=MOST_ITEMS, fail_fast=True)]] = None
    whatsapp: _WhatsApp = True


class OrderShipped(Payload):
    """`wa.shop`, key `order.shipped`: one parcel of an order is on its way, and nothing else is said."""

    shop_id: _ShopId = DEFAULT_SHOP
    event_id: Maybe[_EventId] = None
    order_id: Identifier
    tracking: Tracking
    occurred_at: EventTime


class OrderRefunded(Payload):
    """`wa.shop`, key `order.refunded`: one refund, by its id. Told again it is the same one."""

    shop_id: _ShopId = DEFAULT_SHOP
    event_id: Maybe[_EventId] = None
    order_id: Identifier
    refund_id: Identifier
    amount: Money
    currency: Currency
    occurred_at: EventTime


class ProductUpdated(ShopFact):
    """`wa.shop`, key `product.updated`: the whole product."""

    model_config = ConfigDict(json_schema_extra=none_of(telling_without("price", "currency")))

    product_id: Identifier
    name: Side[ContactName] = None
    price: Maybe[Money] = None
    currency: Maybe[Currency] = None
    in_stock: Maybe[bool] = None
    stock_quantity: Maybe[_Count] = None
    url: Side[Text] = None
    image_url: Side[Text] = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.price is not None and self.currency is None:
            raise ValueError("currency: required beside price")
        return self


class ProductDeleted(ShopFact):
    """`wa.shop`, key `product.deleted`."""

    product_id: Identifier


class CustomerUpdated(CustomerFact):
    """`wa.shop`, key `customer.updated`: what the shop knows of a customer, whole.

    `accepts_marketing`: what they answered at `updated_at`; left out it says nothing.
    """

    customer_id: Maybe[Identifier] = None
    name: Side[ContactName] = None
    email: Side[ContactName] = None
    addresses: Side[Annotated[list[dict[str, Any]], Field(max_length=MOST_ITEMS)]] = None
    tags: Side[Annotated[list[Identifier], Field(max_length=MOST_ITEMS)]] = None
    accepts_marketing: Maybe[StrictBool] = None


class ViewedProduct(Part):
    """A customer looked at a product: at this price, while it was in stock or not."""

    model_config = ConfigDict(json_schema_extra=none_of(telling_without("price", "currency")))

    product_id: Identifier
    viewed_at: EventTime
    price: Maybe[Money] = None
    currency: Maybe[Currency] = None
    in_stock: Side[bool] = None

    @model_validator(mode="after")
    def _check_currency(self) -> Self:
        if self.price is not None and self.currency is None:
            raise ValueError("currency: required beside price")
        return self


class ProductViewed(Payload):
    """`wa.shop`, key `view`: what one customer looked at, up to 500 at once."""

    shop_id: _ShopId = DEFAULT_SHOP
    wa_id: Side[CustomerId] = None
    phone: Side[_Phone] = None
    country: Side[_Country] = None
    customer_id: Maybe[Identifier] = None
    views: Annotated[list[ViewedProduct], Field(min_length=1, max_length=MOST_VIEWS, fail_fast=True)]


class InventoryUpdated(ShopFact):
    """`wa.shop`, key `inventory.updated`: how many there are.

    A difference cannot be folded, and is not taken.
    """

    product_id: Identifier
    variation_id: Maybe[Identifier] = None
    quantity: _Count
