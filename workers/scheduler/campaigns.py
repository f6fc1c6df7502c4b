"""The clock of campaigns: a nudge for each that is due, an end for each that has nobody left.

Messages are only nudges: the batcher asks the campaign's row whether its batch is due.
"""

from shared.amqp.pika import PikaBroker
from shared.amqp.topology import BROADCAST_BATCHER
from shared.campaigns import due_campaigns, finish_campaigns, nudge
from shared.postgres.database import Database
from shared.postgres.outbox import Outbox

#: With so many messages waiting for a batcher, more nudges would only pile up behind them.
_PILE = 100


class CampaignsJob:
    """Nudges due campaigns and ends done ones."""

    def __init__(self, database: Database, broker: PikaBroker, outbox: Outbox) -> None:
        self._database = database
        self._broker = broker
        self._outbox = outbox

    async def run(self) -> int:
        """Look once; returns how many were nudged."""
        await finish_campaigns(self._database, self._outbox)
        due = await due_campaigns(self._database)
        state = await self._broker.queue_state(BROADCAST_BATCHER) if due else None
        if not due or state is None or state.messages > _PILE:
            return 0
        await self._broker.publisher.publish([nudge(campaign_id) for campaign_id in due])
        return len(due)
