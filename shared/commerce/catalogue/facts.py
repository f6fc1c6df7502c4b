"""Facts of products and of their stock into their rows, a batch in one transaction."""

from collections.abc import Sequence

from shared.commerce.catalogue.rules import ProductFact, ProductRow, fold_product, product_of
from shared.commerce.catalogue.store import find_products, write_products
from shared.commerce.shops.holding import product_key, take_turns
from shared.commerce.shops.stamps import FactOutcome
from shared.postgres.database import Connection


async def fold_products(connection: Connection, told: Sequence[ProductFact]) -> list[FactOutcome]:
    """Fold them in the caller's transaction; what became of each, in their order. Raises StoreError."""
    ids = {product_of(fact) for fact in told}
    await take_turns(connection, (product_key(*item) for item in ids))
    rows = await find_products(connection, ids)
    outcomes = []
    changed: dict[tuple[str, str], ProductRow] = {}
    for fact in told:
        key = product_of(fact)
        row, outcome = fold_product(changed.get(key) or rows.get(key) or ProductRow(*key), fact)
        outcomes.append(outcome)
        if outcome is FactOutcome.APPLIED:
            changed[key] = row
    await write_products(connection, list(changed.values()))
    return outcomes
