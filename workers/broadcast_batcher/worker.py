"""Composition root of the broadcast batcher."""

from shared.amqp.topology import BROADCAST_BATCHER
from shared.commerce.notices.moving import move_notices
from shared.consuming.route import Concurrent, Route
from shared.messaging.customers.suppressions import Suppressions
from shared.messaging.messages import Tracker
from shared.running.kit import Kit, Worker, WorkerSpec
from workers.broadcast_batcher.batcher import BroadcastBatcher
from workers.broadcast_batcher.batches import Batches
from workers.broadcast_batcher.controller import Controller
from workers.broadcast_batcher.launcher import Launcher

_NAME = "broadcast-batcher"


def compose(kit: Kit) -> Worker:
    """Build the batcher. Several batches at once: a long launch holds up no other campaign."""
    settings = kit.settings
    batches = Batches(
        kit.database,
        kit.outbox,
        kit.metrics,
        Suppressions.of(settings.suppression_key),
        kit.durations,
        mps_of=lambda number: settings.number(number).mps,
        default_number=settings.whatsapp_phone_number_id,
    )
    tracker = Tracker(kit.database, kit.outbox, kit.metrics, kit.durations, follow=move_notices)
    batcher = BroadcastBatcher(
        Launcher(kit.database, kit.outbox, kit.metrics, _NAME),
        Controller(kit.database, kit.outbox, tracker),
        batches,
    )
    return Worker(
        routes=(
            Route(
                BROADCAST_BATCHER,
                batcher,
                kit.consumer_options(batch_size=20, linger_ms=0, at_once=Concurrent(4)),
                prefetch=80,
                order_key=lambda _: None,
            ),
        )
    )


SPEC = WorkerSpec(_NAME, compose)
