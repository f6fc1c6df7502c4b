"""The clock of campaigns: a nudge for each that is due, an end for each that has nobody left.

Owns the end of messages whose recipients were skipped between two attempts, too. Messages to the batcher are
only nudges: the batcher asks the campaign's row whether its batch is due.
"""

from collections.abc import Sequence

import asyncpg

from shared.amqp.broker import Broker
from shared.amqp.topology import BROADCAST_BATCHER
from shared.durable.aside import RowsAside
from shared.durable.outbox import Outbox
from shared.messaging.campaigns import due_campaigns, finish_campaigns, nudge
from shared.messaging.campaigns.clock import JOB as CAMPAIGNS
from shared.messaging.messages import OwnEvent, Tracker
from shared.observability.tracing import read_trace
from shared.payloads import SendError
from shared.postgres.database import Database
from workers.scheduler.statements import QUERIES

#: With so many messages waiting for a batcher, more nudges would only pile up behind them.
_PILE = 100


class CampaignsJob:
    """Nudges due campaigns and ends done ones."""

    def __init__(self, database: Database, broker: Broker, outbox: Outbox) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._broker = broker
        self._outbox = outbox

    async def run(self) -> int:
        """Look once; returns how many were nudged.

        Nudges come first: the end of a giant campaign counts all of its recipients, and none waits for that.
        """
        nudged = await self._nudge()
        await finish_campaigns(self._database, self._outbox)
        return nudged

    async def _nudge(self) -> int:
        due = await due_campaigns(self._database)
        state = await self._broker.queue_state(BROADCAST_BATCHER) if due else None
        if not due or state is None or state.messages > _PILE:
            return 0
        return await self._aside.work(CAMPAIGNS, due, str, self._publish)

    async def _publish(self, due: Sequence[str]) -> int:
        """What is not confirmed is nudged at the next turn."""
        await self._broker.publisher.publish([nudge(campaign_id) for campaign_id in due])
        return len(due)


class SkippedJob:
    """Fails the messages of recipients who were skipped after an attempt.

    Their campaign was cancelled while it was on its way, or they opted out before the next one.
    """

    def __init__(self, database: Database, tracker: Tracker, outbox: Outbox, rows: int) -> None:
        self._database = database
        self._aside = RowsAside(database)
        self._tracker = tracker
        self._outbox = outbox
        self._rows = rows

    async def run(self) -> int:
        """Look once; returns how many were found and failed."""
        rows = await self._database.fetch(QUERIES["find_skipped"], self._rows)
        return await self._aside.work("skipped recipients", rows, lambda row: row["id"], self._fail)

    async def _fail(self, rows: Sequence[asyncpg.Record]) -> int:
        async with self._database.transaction() as connection:
            recorded = await self._tracker.record_own(
                connection,
                [
                    OwnEvent(
                        row["id"],
                        "failed",
                        trace_id=read_trace(row["correlation_id"]).trace_id,
                        error=SendError(code=row["skip_reason"], message="the recipient was skipped"),
                    )
                    for row in rows
                ],
            )
        await self._outbox.publish(recorded.events)
        return len(rows)
