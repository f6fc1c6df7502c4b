"""The shop updater: what a shop says, into the rows of carts, orders, products and profiles.

Owns the order of its steps: a kind of facts is one transaction, with what is to be told of it; only then are
its deliveries done. Consent comes first, so that a refusal binds before anything is planned; then profiles,
for by them a shop's own ids tell who a customer is.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack
from shared.amqp.headers import correlation_of
from shared.commerce.carts.facts import FoldedFacts, ToldCart, fold_carts
from shared.commerce.catalogue.facts import fold_products
from shared.commerce.joining import follow_join
from shared.commerce.notices.crediting import credit_orders
from shared.commerce.notices.of_orders import tell_of_orders
from shared.commerce.notices.planning import take_back_of_carts, take_back_refused
from shared.commerce.orders.facts import ToldOrder, fold_orders
from shared.commerce.shops.consents import ToldConsent, record_consents_of_shops, says_consent
from shared.commerce.shops.file import Shop
from shared.commerce.shops.profiles import fold_profiles_of_shops
from shared.commerce.shops.stamps import FactOutcome
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.durable.outbox import Outbox, OutboxEvent
from shared.messaging.customers.consent import count_changes
from shared.messaging.customers.suppressions import Suppressions
from shared.observability.metrics import Metrics, count_repairs
from shared.postgres.database import Connection, Database
from workers.shop_updater.intake import FactInHand, ShopIntake, take_in


class ShopUpdater(Handler):
    """Handles the queue `shop-updater`."""

    def __init__(
        self,
        worker: str,
        database: Database,
        outbox: Outbox,
        metrics: Metrics,
        shops: Mapping[str, Shop],
        suppressions: Suppressions,
    ) -> None:
        self._worker = worker
        self._database = database
        self._outbox = outbox
        self._metrics = metrics
        self._shops = shops
        self._suppressions = suppressions

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Fold a batch, one kind after the other; see `shared.consuming.handling.Handler`."""
        intake = take_in(batch)
        count_repairs(self._metrics, self._worker, intake.characters_replaced, intake.fields_dropped)
        if intake.dead:
            yield intake.dead
        await self._keep_consents(intake)
        if intake.consents:
            yield [(item.delivery, Ack()) for item in intake.consents]
        if intake.customers:
            async with self._database.transaction() as connection:
                outcomes = await fold_profiles_of_shops(connection, [item.fact for item in intake.customers])
            yield self._settle("customer", intake.customers, outcomes)
        if intake.carts:
            told_carts = [ToldCart(item.fact, correlation_of(item.delivery)) for item in intake.carts]
            async with self._database.transaction() as connection:
                folded = await fold_carts(connection, told_carts)
                events = await self._follow(connection, folded)
            await self._tell(folded, events)
            yield self._settle("cart", intake.carts, folded.outcomes)
        if intake.orders:
            told_orders = [ToldOrder(item.fact, correlation_of(item.delivery)) for item in intake.orders]
            async with self._database.transaction() as connection:
                folded = await fold_orders(connection, told_orders)
                events = await self._follow(connection, folded)
            await self._tell(folded, events)
            yield self._settle("order", intake.orders, folded.outcomes)
        if intake.products:
            async with self._database.transaction() as connection:
                outcomes = await fold_products(connection, [item.fact for item in intake.products])
            yield self._settle("product", intake.products, outcomes)
        for join in intake.joins:
            trace_id = correlation_of(join.delivery)
            async with self._database.transaction() as connection:
                folded = await follow_join(connection, join.fact.merged, join.fact.customer, trace_id)
                events = await self._follow(connection, folded)
            await self._tell(folded, events)
            yield [(join.delivery, Ack())]

    async def _keep_consents(self, intake: ShopIntake) -> None:
        """What a batch says of consent, whatever kind says it, and what waited for whoever refuses now.

        In a transaction of its own, as addresses are locked before profiles, and profiles in one order.
        """
        said = [
            ToldConsent(item.fact, correlation_of(item.delivery))
            for item in (*intake.consents, *intake.customers, *intake.carts)
            if says_consent(item.fact)
        ]
        if not said:
            return
        async with self._database.transaction() as connection:
            recorded = await record_consents_of_shops(connection, said, self._suppressions)
            await take_back_refused(connection, recorded.changes)
            await self._outbox.record(connection, recorded.events)
        count_changes(self._metrics, recorded.changes)
        await self._outbox.publish(recorded.events)

    async def _follow(self, connection: Connection, folded: FoldedFacts) -> list[OutboxEvent]:
        """What facts cause, in their transaction: notices planned, taken back, credited."""
        await take_back_of_carts(connection, folded.stopped)
        await tell_of_orders(connection, self._shops, folded.orders)
        events = [*folded.events, *await credit_orders(connection, folded.orders)]
        await self._outbox.record(connection, events)
        return events

    async def _tell(self, folded: FoldedFacts, events: Sequence[OutboxEvent]) -> None:
        """After the commit."""
        for outcome, count in folded.carts.items():
            self._metrics.carts.labels(outcome).inc(count)
        await self._outbox.publish(events)

    def _settle(
        self, kind: str, items: Iterable[FactInHand[object]], outcomes: Sequence[FactOutcome]
    ) -> list[Settled]:
        for outcome in outcomes:
            self._metrics.facts.labels(kind, outcome).inc()
        return [(item.delivery, Ack()) for item in items]
