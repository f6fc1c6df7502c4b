"""What a product's row becomes by one more fact. Pure.

Owns the fold: the product shows its greatest fact, its stock the greatest of the stock keeper's, each with a
stamp of its own. A variation is a product of its own, under its own id.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from shared.commerce.shops.stamps import FactOutcome, Stamp
from shared.payloads import InventoryUpdated, ProductDeleted, ProductUpdated
from shared.payloads.digest import DIGEST_BYTES, digest

ProductFact: TypeAlias = ProductUpdated | ProductDeleted | InventoryUpdated

#: What a product says of itself; one that is deleted says nothing.
_SHOWN: Final = ("name", "price", "currency", "in_stock", "stock_quantity", "url", "image_url")
#: Of one moment, a deletion is greater than whatever the product was.
_DELETION: Final = b"\xff" * DIGEST_BYTES


@dataclass(frozen=True, slots=True)
class ProductRow:
    """A row of `products`. Without `source_…` its stock alone is known, without `inventory_…` the product."""

    shop_id: str
    product_id: str
    name: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    in_stock: bool | None = None
    stock_quantity: int | None = None
    inventory_quantity: int | None = None
    url: str | None = None
    image_url: str | None = None
    source_version: int | None = None
    source_updated_at: datetime | None = None
    source_hash: bytes | None = None
    inventory_version: int | None = None
    inventory_updated_at: datetime | None = None
    inventory_hash: bytes | None = None
    deleted_at: datetime | None = None
    revision: int = 1


def product_of(fact: ProductFact) -> tuple[str, str]:
    """Shop and id of the row that a fact is of."""
    if isinstance(fact, InventoryUpdated) and fact.variation_id is not None:
        return fact.shop_id, fact.variation_id
    return fact.shop_id, fact.product_id


def fold_product(row: ProductRow, fact: ProductFact) -> tuple[ProductRow, FactOutcome]:
    """The row after one more fact, and what the fact was."""
    stamp = stamp_of(fact)
    if isinstance(fact, InventoryUpdated):
        shown = _stamp(row.inventory_version, row.inventory_updated_at, row.inventory_hash)
    else:
        shown = _stamp(row.source_version, row.source_updated_at, row.source_hash)
    outcome = stamp.after(shown)
    if outcome is not FactOutcome.APPLIED:
        return row, outcome
    return replace(_show(row, fact, stamp), revision=row.revision + 1), outcome


def stamp_of(fact: ProductFact) -> Stamp:
    """Its place among the facts of the same product, or of its stock."""
    content = fact.model_dump(
        mode="json", warnings=False, exclude={"shop_id", "updated_at", "version", "event_id"}
    )
    told = _DELETION if isinstance(fact, ProductDeleted) else digest(content)
    return Stamp(fact.version or 0, fact.updated_at, 0, told)


def _stamp(version: int | None, updated_at: datetime | None, content: bytes | None) -> Stamp | None:
    if version is None or updated_at is None or content is None:
        return None
    return Stamp(version, updated_at, 0, content)


def _show(row: ProductRow, fact: ProductFact, stamp: Stamp) -> ProductRow:
    if isinstance(fact, InventoryUpdated):
        return replace(
            row,
            inventory_quantity=fact.quantity,
            inventory_version=stamp.version,
            inventory_updated_at=stamp.updated_at,
            inventory_hash=stamp.content,
        )
    told: dict[str, Any] = {name: getattr(fact, name, None) for name in _SHOWN}
    return replace(
        row,
        **told,
        source_version=stamp.version,
        source_updated_at=stamp.updated_at,
        source_hash=stamp.content,
        deleted_at=stamp.updated_at if isinstance(fact, ProductDeleted) else None,
    )
