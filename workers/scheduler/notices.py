"""The clock of automatic messages: a nudge to the notifiers for each so many that are due."""

from shared.amqp.broker import Broker
from shared.amqp.topology import NOTIFIER
from shared.commerce.notices.due import MOST_NUDGES, nudges_wanted
from shared.commerce.notices.nudge import nudge
from shared.postgres.database import Database


class NoticesJob:
    """Nudges the notifiers while notices are due."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker

    async def run(self) -> int:
        """Look once; returns how many nudges were published. What is not confirmed is due next time."""
        wanted = await nudges_wanted(self._database)
        state = await self._broker.queue_state(NOTIFIER) if wanted else None
        if not wanted or state is None or state.messages >= MOST_NUDGES:
            return 0
        await self._broker.publisher.publish([nudge() for _ in range(wanted)])
        return wanted
