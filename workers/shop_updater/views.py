"""Keeps what customers look at: the first view of a product in an hour, while it is young enough."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead
from shared.commerce.catalogue.store import KeptView, keep_views
from shared.commerce.shops.customers import ToldCustomer, find_customers
from shared.commerce.shops.stamps import FactOutcome
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.durations import Durations
from shared.observability.metrics import Metrics, count_repairs
from shared.payloads import InvalidPayload, ProductViewed, read
from shared.postgres.database import Database
from shared.reasons import DeadReason


class ViewKeeper(Handler):
    """Handles the queue `shop-updater.views`."""

    def __init__(self, worker: str, database: Database, metrics: Metrics, durations: Durations) -> None:
        self._worker = worker
        self._database = database
        self._metrics = metrics
        self._kept_for = timedelta(days=durations.retention_views_days)

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Keep a batch in one statement; see `shared.consuming.handling.Handler`."""
        told: list[tuple[ProductViewed, Delivery]] = []
        dead: list[Settled] = []
        for delivery in batch:
            try:
                decoded = read(ProductViewed, delivery.body)
            except InvalidPayload as error:
                dead.append((delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error))))
            else:
                count_repairs(self._metrics, self._worker, decoded.replaced, len(decoded.dropped))
                told.append((decoded.payload, delivery))
        if dead:
            yield dead
        if told:
            await self._keep([payload for payload, _ in told])
            yield [(delivery, Ack()) for _, delivery in told]

    async def _keep(self, told: Sequence[ProductViewed]) -> None:
        """Views of nobody are counted and dropped, and so are late and repeated ones."""
        named = [
            ToldCustomer(item.shop_id, item.wa_id, item.phone, item.country, item.customer_id)
            for item in told
        ]
        async with self._database.transaction() as connection:
            customers = await find_customers(connection, named)
            views = [
                KeptView(
                    item.shop_id,
                    customer,
                    view.product_id,
                    view.viewed_at,
                    view.price,
                    view.currency,
                    view.in_stock,
                )
                for item, customer in zip(told, customers, strict=True)
                if customer is not None
                for view in item.views
            ]
            kept = await keep_views(connection, views, self._kept_for) if views else 0
        seen = sum(len(item.views) for item in told)
        facts = self._metrics.facts
        facts.labels("view", FactOutcome.UNREACHABLE).inc(seen - len(views))
        facts.labels("view", FactOutcome.APPLIED).inc(kept)
        facts.labels("view", FactOutcome.DUPLICATE).inc(len(views) - kept)
