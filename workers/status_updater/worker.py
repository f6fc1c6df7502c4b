"""Composition root of the status updater."""

from shared.amqp.topology import STATUS_UPDATER
from shared.commerce.notices.moving import move_notices
from shared.consuming.route import Overlapping, Route
from shared.coordination.rate_shared import SharedRates
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.following import Follower
from shared.messaging.messages import Tracker
from shared.running.kit import Kit, Worker, WorkerSpec
from workers.status_updater.updater import StatusUpdater

NAME = "status-updater"


def compose(kit: Kit) -> Worker:
    """Build the updater."""
    rates = SharedRates(kit.redis, kit.durations)
    cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
    follower = Follower(kit.database, kit.outbox, cache, kit.metrics)
    tracker = Tracker(kit.database, kit.outbox, kit.metrics, kit.durations, rates, follower, move_notices)
    return Worker(
        routes=(
            Route(
                STATUS_UPDATER,
                StatusUpdater(NAME, tracker, kit.metrics),
                kit.consumer_options(batch_size=200, linger_ms=5, at_once=Overlapping()),
                prefetch=800,
                order_key=lambda _: None,
            ),
        )
    )


SPEC = WorkerSpec(NAME, compose)
