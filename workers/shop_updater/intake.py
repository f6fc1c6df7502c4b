"""From deliveries to what a shop says: decoded by their routing keys, each kind by itself. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from pydantic import BaseModel

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Dead
from shared.amqp.topology import MERGED
from shared.payloads import (
    CartDeleted,
    CartUpdated,
    ConsentChange,
    CustomerMerged,
    CustomerUpdated,
    InvalidPayload,
    InventoryUpdated,
    OrderRefunded,
    OrderShipped,
    OrderUpdated,
    ProductDeleted,
    ProductUpdated,
)
from shared.payloads.decoding import read
from shared.reasons import DeadReason

CartTold: TypeAlias = CartUpdated | CartDeleted
OrderTold: TypeAlias = OrderUpdated | OrderShipped | OrderRefunded
ProductTold: TypeAlias = ProductUpdated | ProductDeleted | InventoryUpdated

_MODELS: Final[Mapping[str, type[BaseModel]]] = {
    "cart.updated": CartUpdated,
    "cart.deleted": CartDeleted,
    "order.updated": OrderUpdated,
    "order.shipped": OrderShipped,
    "order.refunded": OrderRefunded,
    "product.updated": ProductUpdated,
    "product.deleted": ProductDeleted,
    "inventory.updated": InventoryUpdated,
    "customer.updated": CustomerUpdated,
    "consent": ConsentChange,
    MERGED: CustomerMerged,
}
F_co = TypeVar("F_co", covariant=True)


@dataclass(frozen=True, slots=True)
class FactInHand(Generic[F_co]):
    """One fact and its delivery."""

    fact: F_co
    delivery: Delivery


@dataclass(slots=True)
class ShopIntake:
    """What a batch holds, by kind, and what is none of them."""

    carts: list[FactInHand[CartTold]] = field(default_factory=list)
    orders: list[FactInHand[OrderTold]] = field(default_factory=list)
    products: list[FactInHand[ProductTold]] = field(default_factory=list)
    customers: list[FactInHand[CustomerUpdated]] = field(default_factory=list)
    consents: list[FactInHand[ConsentChange]] = field(default_factory=list)
    joins: list[FactInHand[CustomerMerged]] = field(default_factory=list)
    dead: list[tuple[Delivery, Dead]] = field(default_factory=list)
    characters_replaced: int = 0
    fields_dropped: int = 0


def take_in(batch: Sequence[Delivery]) -> ShopIntake:
    """Decode each delivery. The routing key says what it is."""
    intake = ShopIntake()
    for delivery in batch:
        model = _MODELS.get(delivery.origin_routing_key)
        if model is None:
            error = "the routing key is that of no fact"
            intake.dead.append((delivery, Dead(DeadReason.INVALID_PAYLOAD, error)))
            continue
        try:
            decoded = read(model, delivery.body)
        except InvalidPayload as error:
            intake.dead.append((delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error))))
            continue
        intake.characters_replaced += decoded.replaced
        intake.fields_dropped += len(decoded.dropped)
        _sort(intake, decoded.payload, delivery)
    return intake


def _sort(intake: ShopIntake, payload: BaseModel, delivery: Delivery) -> None:
    match payload:
        case CartUpdated() | CartDeleted():
            intake.carts.append(FactInHand(payload, delivery))
        case OrderUpdated() | OrderShipped() | OrderRefunded():
            intake.orders.append(FactInHand(payload, delivery))
        case ProductUpdated() | ProductDeleted() | InventoryUpdated():
            intake.products.append(FactInHand(payload, delivery))
        case CustomerUpdated():
            intake.customers.append(FactInHand(payload, delivery))
        case ConsentChange():
            intake.consents.append(FactInHand(payload, delivery))
        case CustomerMerged():
            intake.joins.append(FactInHand(payload, delivery))
