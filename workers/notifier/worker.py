"""Composition root of the notifier."""

from shared.amqp.topology import NOTIFIER
from shared.commerce.notices.claiming import NoticeStore
from shared.commerce.shops.file import read_shops
from shared.consuming.route import Concurrent, Route
from shared.durable.aside import RowsAside
from shared.running.kit import Kit, Worker, WorkerSpec
from workers.notifier.notifier import Notifier


def compose(kit: Kit) -> Worker:
    """Build the notifier. Raises SettingsError where SHOPS_FILE is wrong."""
    settings = kit.settings
    shops = read_shops(settings.shops_file)
    store = NoticeStore(
        kit.database,
        kit.outbox,
        shops,
        consent=settings.marketing_consent,
        mps_of=lambda number: settings.number(number).mps,
        durations=kit.durations,
    )
    return Worker(
        routes=(
            Route(
                NOTIFIER,
                Notifier(store, RowsAside(kit.database), kit.outbox, kit.metrics),
                kit.consumer_options(batch_size=1, linger_ms=0, at_once=Concurrent(2)),
                prefetch=8,
                order_key=lambda _: None,
            ),
        )
    )


SPEC = WorkerSpec("notifier", compose)
