"""Dead letters into PostgreSQL, with what they do to their messages, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from shared.postgres.database import Connection, Database
from shared.postgres.deadletters import DeadLetter, store_dead_letters
from shared.postgres.outbox import Outbox, OutboxEvent
from shared.reasons import DeadReason
from workers.dlq_handler.letters import may_be_stored, shared_part
from workers.dlq_handler.messages import QUERIES, Corpse, MessageEnder, Rows
from workers.dlq_handler.outbound import DeadOutbound


@dataclass(frozen=True, slots=True)
class Stored:
    """What is new: reasons to count, and events in the outbox, to be published now."""

    reasons: list[DeadReason]
    events: list[OutboxEvent]


class DeathStore:
    """Stores what died."""

    def __init__(self, database: Database, outbox: Outbox, messages: MessageEnder) -> None:
        self._database = database
        self._outbox = outbox
        self._messages = messages

    async def store(self, corpses: Sequence[Corpse], *, end_messages: bool = True) -> Stored:
        """Store each once, and end the messages that can no longer be sent. Raises StoreError."""
        async with self._database.transaction() as connection:
            corpses = await _leave_out_stored(connection, corpses)
            outbound = [DeadOutbound.read(corpse.letter) for corpse in corpses if end_messages]
            dead = [item for item in outbound if item is not None]
            rows = await self._messages.find(connection, dead)
            letters = [_naming_message(corpse.letter, rows) for corpse in corpses]
            events = await store_dead_letters(connection, letters)
            await self._outbox.record(connection, events)
            new = {UUID(item.aggregate_id) for item in events}
            died = [item for item in dead if item.letter.id in new]
            events = [*events, *await self._messages.end(connection, died, rows, corpses)]
        return Stored([letter.reason for letter in letters if letter.id in new], events)


async def _leave_out_stored(connection: Connection, corpses: Sequence[Corpse]) -> list[Corpse]:
    """Without redeliveries of what an earlier delivery stored, or stores in this batch."""
    digests = [corpse.letter.dedupe_key for corpse in corpses if may_be_stored(corpse.delivery)]
    if not digests:
        return list(corpses)
    rows = await connection.fetch(QUERIES["stored_before"], digests)
    stored = {row["digest"] for row in rows}
    stored |= {shared for corpse in corpses if (shared := shared_part(corpse.letter.dedupe_key)) is not None}
    return [corpse for corpse in corpses if corpse.letter.dedupe_key not in stored]


def _naming_message(letter: DeadLetter, rows: Rows) -> DeadLetter:
    row = rows.get(letter.id)
    return letter if row is None else replace(letter, message_id=row["id"])
