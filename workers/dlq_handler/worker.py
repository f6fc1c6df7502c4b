"""Composition root of the dlq-handler."""

from dataclasses import replace

from shared.amqp.topology import DLQ_HANDLER
from shared.commerce.notices.moving import move_notices
from shared.consuming.route import Concurrent, Route
from shared.messaging.messages import Tracker
from shared.running.kit import Kit, Worker, WorkerSpec
from workers.dlq_handler.ends import JOB, UntoldEnds
from workers.dlq_handler.handler import DeadLetterHandler
from workers.dlq_handler.messages import MessageEnder
from workers.dlq_handler.store import DeathStore


def compose(kit: Kit) -> Worker:
    """Build the handler of dead letters."""
    tracker = Tracker(kit.database, kit.outbox, kit.metrics, kit.durations, follow=move_notices)
    messages = MessageEnder(kit.outbox, tracker, kit.durations)
    handler = DeadLetterHandler(
        DeathStore(kit.database, kit.outbox, messages, kit.durations), kit.outbox, kit.metrics, kit.durations
    )
    options = kit.consumer_options(batch_size=50, linger_ms=5, at_once=Concurrent(2))
    ends = UntoldEnds(kit.database, kit.outbox, messages, kit.durations)
    return Worker(
        routes=(
            Route(
                DLQ_HANDLER,
                handler,
                replace(options, gives_up=False),
                prefetch=100,
                order_key=lambda _: None,
            ),
        ),
        tasks=((JOB, ends.run),),
    )


SPEC = WorkerSpec("dlq-handler", compose)
