"""Composition root of the shop updater."""

from shared.amqp.topology import SHOP_UPDATER, SHOP_VIEWS
from shared.commerce.shops.file import read_shops
from shared.consuming.route import Concurrent, OneBatch, Route
from shared.messaging.customers.suppressions import Suppressions
from shared.running.kit import Kit, Worker, WorkerSpec
from workers.shop_updater.updater import ShopUpdater
from workers.shop_updater.views import ViewKeeper

NAME = "shop-updater"


def compose(kit: Kit) -> Worker:
    """Build the updater. Raises SettingsError where SHOPS_FILE is wrong."""
    shops = read_shops(kit.settings.shops_file)
    suppressions = Suppressions.of(kit.settings.suppression_key)
    return Worker(
        routes=(
            Route(
                SHOP_UPDATER,
                ShopUpdater(NAME, kit.database, kit.outbox, kit.metrics, shops, suppressions),
                kit.consumer_options(batch_size=100, linger_ms=5, at_once=Concurrent(2)),
                prefetch=400,
                order_key=lambda _: None,
            ),
            Route(
                SHOP_VIEWS,
                ViewKeeper(NAME, kit.database, kit.metrics, kit.durations),
                kit.consumer_options(batch_size=200, linger_ms=5, at_once=OneBatch()),
                prefetch=800,
                order_key=lambda _: None,
            ),
        )
    )


SPEC = WorkerSpec(NAME, compose)
