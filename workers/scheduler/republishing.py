"""What waits to be published: deferred messages that are due, and events that nobody marked."""

from shared.amqp.pika import PikaBroker
from shared.durations import Durations
from shared.observability.logs import Operation, fields, get_logger
from shared.postgres.deferral import DeferralStore
from shared.postgres.outbox import Outbox

logger = get_logger(__name__)


class DeferredJob:
    """Publishes due deferred messages to their queues; each row stays until its message is handled.

    What nobody handled for long is published again, but not behind itself: a backlog would feed on its own
    copies.
    """

    def __init__(self, deferrals: DeferralStore, broker: PikaBroker, durations: Durations) -> None:
        self._deferrals = deferrals
        self._broker = broker
        self._durations = durations

    async def run(self) -> int:
        """Publish all that is due; returns how many were confirmed."""
        confirmed = 0
        overdue = await self._deferrals.overdue_queues()
        empty = [queue for queue in overdue if await self._is_empty(queue)]
        while due := await self._deferrals.claim_due(
            self._durations.deferred_rows, self._durations.deferred_claim_s, empty
        ):
            outcomes = await self._broker.publisher.publish([item.publication for item in due])
            failed = [item.id for item, error in zip(due, outcomes, strict=True) if error is not None]
            confirmed += len(due) - len(failed)
            if failed:
                await self._deferrals.unclaim(failed)
                logger.warning(
                    "%d deferred messages could not be published yet",
                    len(failed),
                    extra=fields(operation=Operation.DEFERRED_RELEASE),
                )
                break
        return confirmed

    async def _is_empty(self, queue: str) -> bool:
        """Whether no message is ready there; no where nobody can say."""
        state = await self._broker.queue_state(queue)
        return state is not None and state.messages == 0


class UnmarkedJob:
    """Publishes events whose writer died, or could not, before they were marked."""

    def __init__(self, outbox: Outbox, durations: Durations) -> None:
        self._outbox = outbox
        self._rows = durations.deferred_rows

    async def run(self) -> int:
        """Publish all that is left; returns how many were confirmed."""
        total = 0
        while events := await self._outbox.claim_unmarked(self._rows):
            confirmed = await self._outbox.publish(events)
            total += confirmed
            if confirmed < len(events):
                break
        if total:
            logger.info(
                "%d events were published for others",
                total,
                extra=fields(operation=Operation.UNMARKED_PUBLICATION),
            )
        return total
